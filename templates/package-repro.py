{% extends "repro.py" %}
{% block does %}Loads {{ name|docstring }}, which lies beside this script,{% endblock %}
{% block done %}found{% endblock %}
{% block which %}{% endblock %}
{% block says %}{% endblock %}
{% block model %}

PACKAGE = Path(__file__).with_name({{ package }})
{% endblock %}
{% block ready %}
    spec = ct.utils.load_spec(str(PACKAGE))
    digest = hashlib.sha256(spec.SerializeToString(deterministic=True))
    weights = [f for f in PACKAGE.rglob("*") if f.is_file() and f.parent.name == "weights"]
    for file in sorted(weights, key=lambda file: file.name):
        digest.update(file.read_bytes())
    print("package loaded, sha256", digest.hexdigest())
{% endblock %}
{% block file %}str(PACKAGE){% endblock %}
