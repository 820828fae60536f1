"""What must not leave a machine, on a machine made up for it, and what only looks like it.

Nothing here is anyone's: the tokens are of the form that their makers document, and drawn.
"""

from __future__ import annotations

import platform
import pwd
import socket
from pathlib import Path
from types import SimpleNamespace

HOME = "/srv/people/aliceb"
WORK = f"{HOME}/work"
ENVIRONMENT = {
    "HOME": HOME,
    "PWD": WORK,
    "TMPDIR": "/scratch/aliceb-tmp",
    "USER": "aliceb",
    "LOGNAME": "aliceb",
    "CI_DEPLOY_TOKEN": "plumtree",
    "BUILD_ID": "q7Zr2-81kkT-v3",
    "PROJECT_ROOT": "/data/skunkworks/falcon",
}


def machine(monkeypatch) -> None:
    """Make this process believe that it runs on Alice's machine."""
    monkeypatch.setattr(Path, "home", lambda: Path(HOME))
    monkeypatch.setattr(Path, "cwd", lambda: Path(WORK))
    strangers(monkeypatch)
    monkeypatch.setattr("tempfile.gettempdir", lambda: ENVIRONMENT["TMPDIR"])


def strangers(monkeypatch) -> None:
    """Give this process Alice's names and environment, but leave it the folders that it has."""
    others = {"HOME": "USERPROFILE", "TMPDIR": "TEMP", "PWD": "OLDPWD"}
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(others.get(name, name), value)
    monkeypatch.setattr(socket, "gethostname", lambda: "alpaca-17.example.lan")
    monkeypatch.setattr(platform, "node", lambda: "alpaca-17")
    entry = SimpleNamespace(pw_name="aliceb", pw_gecos="Alice Brightwater,,,")
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    monkeypatch.setattr("getpass.getuser", lambda: "aliceb")


# what is written, and the part of it that must vanish; of one thing where it is all of it
OF_ANYONE = [
    # other users' homes
    ("/Users/bobq/Desktop/m.mlmodel", "bobq"),
    ("/Users/bobq/Secret Falcon/net/m.mlmodel", "Falcon"),
    ("/home/carolz", "carolz"),
    ("/home/carolz/proj/x.py", "proj"),
    ("/private/Users/bobq/deep/er/a.npz", "deep"),
    ("file:///Users/bobq/My%20Falcon/a.mlmodel", "Falcon"),
    ("%2FUsers%2Fbobq%2FFalcon%2Fa.mlmodel", "bobq"),
    (r"C:\Users\bobq\Falcon\a.mlmodel", "Falcon"),
    (r"C:\\Users\\bobq\\Falcon\\a.mlmodel", "bobq"),
    ("c:/users/Bob Quill/Falcon/a.mlmodel", "Quill"),
    ("/mnt/c/Users/bobq/Falcon/a", "bobq"),
    ("/Volumes/Backup/Users/bobq/Falcon/a", "Falcon"),
    ("~bobq/Falcon/a.mlmodel", "bobq"),
    ("~/Falcon/a.mlmodel", "Falcon"),
    ("$HOME/Falcon/a.mlmodel", "Falcon"),
    (r"%USERPROFILE%\Falcon\a.mlmodel", "Falcon"),
    (r"\/Users\/bobq\/Falcon\/a.mlmodel", "bobq"),
    ("'/Users/bobq/a, b (c)/Falcon'", "Falcon"),
    ("/Users/bobq/Bob's Falcon/a.mlmodel", "Falcon"),
    # temporary folders
    ("/tmp/falcon-build/x.mlmodel", "falcon-build"),
    ("/private/tmp/falcon-build/x.mlmodel", "falcon-build"),
    ("/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/falcon/x.npz", "zyxvpxvq6csfxvn"),
    ("/private/var/folders/3k/9xq_t4/T/tmpab12/x.npz", "9xq_t4"),
    (r"%TEMP%\falcon\x.npz", "falcon"),
    # mail
    "jane.doe@example.com",
    "jane+ane@mail.example.co.uk",
    "JANE@EXAMPLE.ORG",
    "jane%40example.com",
    "j_d@host-3.corp",
    "o'neill@example.com",
    ("d'arcy@example.com", "d'"),
    # tokens
    "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6",
    "github_pat_" + "11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ0123456789",
    "gho_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "glpat-" + "x7Yz9Kq2Lm4Np6Rs8Tuv",
    "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi",
    "sk-" + "proj-4fGh7Jk1Lm3Np5Qr8St2Vw6Xz9Bc0Df",
    "sk-ant-api03-" + "Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg0Fe",
    "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKl",
    ("https://hooks.slack.com/services/" + "T00000000/B11111111/XyZ123abcDEF456ghi", "B11111111"),
    "AKIA" + "IOSFODNN7EXAMPLE",
    ("aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "wJalrXUtnFEMI"),
    "AIza" + "SyD3k9fJ2mX7qW1nR5tY8uB4vC6zL0pOaSd",
    "ya29." + "a0AfH6SMBx3kQ9vR7tL2mN5",
    "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiJqYW5lIn0.s5Kq-_9xTz",
    ("Authorization: Bearer 7Fk2mQx9Lp4Rt6Vw8Zb1", "7Fk2mQx9Lp4Rt6Vw8Zb1"),
    "npm_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "pypi-" + "AgEIcHlwaS5vcmcCJDc3MTYxNjM1LTRlOGEtNGY",
    ("https://jane:hunter2x@git.example.com/a.git", "hunter2x"),
    ("https://x9kq2mtoken@git.example.com/a.git", "x9kq2mtoken"),
    ("password=tulipan", "tulipan"),
    ('"password": "tulipan7"', "tulipan7"),
    ("DB_PASSWORD: 'tulipan8'", "tulipan8"),
    ("passphrase = kvartal", "kvartal"),
    ("client_secret: kV9aR2tA", "kV9aR2tA"),
    ("api_key=3fK9zQ2mX7aa", "3fK9zQ2mX7aa"),
    ("token: 9fQ2xZ7kL4mm", "9fQ2xZ7kL4mm"),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7v\n-----END RSA PRIVATE KEY-----",
        "MIIEpAIBAAKCAQEA7v",
    ),
    # devices
    "C02XK1ZZJGH5",
    "F2LX9V0QN1",
    "GQ7X2KD9P4",
    "DNPQ42TVG0",
    ("Serial Number: AB-1234-Q", "AB-1234-Q"),
    ("Serial Number (system): ZZZZ9ZZ", "ZZZZ9ZZ"),
    ('"IOPlatformSerialNumber" = "FVFXQ2ABCDE1"', "FVFXQ2ABCDE1"),
    ("serial: qx12ab9", "qx12ab9"),
    "00008030-001C2D8E3A90802E",
    "1234567890abcdef1234567890abcdef12345678",
    ("UDID=00008110000A11223344001E", "00008110000A11223344001E"),
    ("ECID: 0x1A2B3C4D5E6F", "0x1A2B3C4D5E6F"),
    ('"ECID" : 7349874591868649', "7349874591868649"),
    "4F9F5C3A-8A8B-4C7C-9D1E-0123456789AB",
    "a4:83:e7:12:ab:cd",
    "A4-83-E7-12-AB-CD",
    ("mac:a4:83:e7:12:ab:cd", "a4:83:e7:12:ab:cd"),
    "Janes-MacBook-Pro.local",
    "Janes-Mac-mini",
    "Jane's iPhone",
    "Jane\u2019s MacBook Pro",
    "iPhone von Jane",
    "studio-box.local",
    # beside letters of other scripts, which go on with nothing
    ("\u90ae\u7bb1jane@example.com\u8c22\u8c22", "jane@example"),
    ("\u8def\u5f84/Users/bobq/\u72ec\u89d2\u517d/x.mlmodel", "bobq"),
    ("token\u306fghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6\u3067\u3059", "ghp_aB3"),
    ("\u578b\u756aC02XK1ZZJGH5\u3067\u3059", "C02XK1ZZJGH5"),
    ("m\u00fcller@example.de", "\u00fcller"),
    ("\u043c\u0430\u0448\u0430@\u043f\u043e\u0447\u0442\u0430.\u0440\u0444", "\u043c\u0430"),
    # what a second reading found
    ("../../home/bobq/Falcon/x.py", "bobq"),
    ("//Users//bobq//Falcon//x.py", "bobq"),
    ("/data/home/bobq/Falcon/x.py", "bobq"),
    ("/usr/home/bobq/Falcon/x.py", "bobq"),
    ("/c/Users/bobq/Falcon/x.py", "bobq"),
    (r"\\server\Users\bobq\Falcon\x.pt", "bobq"),
    ("file://localhost/Users/bobq/Falcon/x", "bobq"),
    ("vscode://file/Users/bobq/Falcon/x.py:12", "bobq"),
    ("/Users/bobq/Desktop/a&b/Falcon/x.mlmodel", "Falcon"),
    ("/Users/bobq/Desktop/a;b/Falcon/x.mlmodel", "Falcon"),
    ("of jane.doe@example.org.npz", "jane.doe"),
    ("of jane@example.com_old", "jane"),
    ("jane@example.engineering", "jane"),
    ('{"clientSecret": "kV9aR2tA"}', "kV9aR2tA"),
    ("githubToken=AbCdEf0123456789", "AbCdEf0123456789"),
    ("bearer: AbCdEf0123456789AbCdEf", "AbCdEf0123456789AbCdEf"),
    ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
    ("https://x.blob.core.windows.net/m?sv=1&sig=abcd%2FEFGH1234ijkl%3D", "EFGH1234ijkl"),
    ("&X-Amz-Signature=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "9f86d081884c7d65"),
    ("AccountKey=abcdEFGH1234ijklMNOP5678qrst==;", "abcdEFGH1234"),
    ("Theresa's iPhone", "Theresa"),
    ("Letizia's MacBook Pro", "Letizia"),
    ("Mary Roe's MacBook Air", "Mary"),
    ("Marys-MBP.fritz.box", "Marys"),
    ("IMEI: 35 328711 456789 1", "328711"),
    ("InternationalMobileEquipmentIdentity: 353287114567891", "353287114567891"),
    ("udid 00008030001C2D8E3A90802E", "00008030001C2D8E3A90802E"),
    ("net_0C1D2E3F-1111-4222-8333-444455556666.mlmodelc", "0C1D2E3F"),
]  # fmt: skip
OF_ALICE = [
    (f"{HOME}/Falcon/x.mlmodel", "Falcon"),
    (f"{WORK}/Falcon/y.mlmodel", "Falcon"),
    (f"file://{HOME}/Falcon/x.mlmodel", "people"),
    ("%2Fsrv%2Fpeople%2Faliceb%2Fx.mlmodel", "aliceb"),
    (r"\/srv\/people\/aliceb\/x.mlmodel", "aliceb"),
    ("/scratch/aliceb-tmp/tmp1/x.npz", "scratch"),
    "aliceb",
    ("of%2Faliceb%2Fx", "aliceb"),
    "Alice Brightwater",
    "alice.brightwater",
    "Brightwater",
    "alpaca-17",
    "alpaca-17.example.lan",
    "plumtree",
    "q7Zr2-81kkT-v3",
    ("/data/skunkworks/falcon", "skunkworks"),
    ("/data/skunkworks/falcon/x.bin", "skunkworks"),
]
SECRETS = [one if isinstance(one, tuple) else (one, one) for one in (*OF_ANYONE, *OF_ALICE)]

LOOK_ALIKES = [
    "/conv1/Conv_output_0", "user_embedding", "token_embedding", "password_input", "sk-learn",
    "iPhone14,5", "iPhone 14 Pro", "20C65", "MobileNetV2", "IMAGENET2012", "conv@2x.png",
    "@model_path/weights/weight.bin", "com.apple.CoreML", "17.0.1.2", "tokens: 512", "token: 5",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "com.github.apple.coremltools.version: 8.1",
    "com.github.apple.coremltools.source: torch==2.1.0",
    "https://developer.apple.com/forums/thread/720810",
    "https://github.com/apple/coremltools/issues/2758",
    "https://github.com/apple/coremltools/commit/1234567890abcdef1234567890abcdef12345678",
    "commit 1234567890abcdef1234567890abcdef12345678", "FB12345678", "1600x39x1", "0.01",
    "2,048 of 62,400", "2024-01-31T12:30:45Z", "2022-12-24 10:20:30.123456+0100",
    "/System/Library/Frameworks/CoreML.framework/CoreML", "/usr/lib/python3.11/json/decoder.py",
    "/Library/Developer/CommandLineTools", "/dev/null", "/opt/homebrew/bin/python3", "SSD300VGG16",
    "RESNET50V2", "GRAYSCALE_FLOAT16", "BFLOAT16X32", "H264", "M2 Max", "A15 Bionic", "h14p",
    "E5RT encountered an STL exception. msg = MILCompilerForANE error: failed to compile ANE model",
    "[espresso] [Espresso::handle_ex_plan] exception=ANECF error",
    "Error Domain=com.apple.CoreML Code=0",
    "password_input: float32", "token_type_ids: int32", "max_tokens=512", "sequence_length: 1024",
    "def forward(self, input2, input1):  # [1, 128, 43, 1]", "np.float32", "x @ y.T", "a@b",
    "torch.nn.Conv2d(800, 800, 1)", "python repro.py seeded", "anereport run Block.mlmodel",
    "bias-only at conv1", "threading.local()",
    "today's iPhone", "Apple's iPhone", "macOS 14.4 (23E214)",
    "secret: required", "basic features", "the bearer of the name", "1:1", "00:11:22",
    "0x7ff8123456ab", "[mail address]", "[token]", "~", "a ~ b", "~5/3 of it", "1e-05/2", "and/or",
    "AN/E", "NCHW", "git@github.com", "author",
    "the serial number of the device", "no serial number",
    "conv@module.py", "12345A67890", "BCDFG12345", "next_token: embedding_block", "module.local",
    "ssh://git@github.com/a/b.git", "Block-report.zip",
    "records/iphone-14.json", "variants/manifest.json", "C", "", "\u6a21\u578b",
    "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo/Users+C02XK1ZZJGH5+abcdefgh/tmp/xyz0123456789ABCDEFGH==",
    "sha256 of the spec: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "r = np.random.RandomState(720810)", "float16 keeps 1,024 to 2,048", "conv2d_3x3_relu6",
    "https://www.cs.toronto.edu/~kriz/cifar.html", "http://people.eecs.berkeley.edu/~x/data/",
    "sk_conv1_bn2_relu3_pool4_x_block", "basic ResidualBlock1x1", "Basic BottleneckV2Block",
    "secret: bool", "password=password", "Vision's iPhone path", "Core ML's Mac path",
    "NVIDIA's Mac", "hash 1234567890abcdef1234567890abcdef12345678", "Philipp Gabriel",
    "signature=serving_default", "arXiv:1704.04861", "doi:10.1109/CVPR.2016.90", "MIT",
    "StatefulPartitionedCall/model/conv2d/Relu6", "backbone.features.0.0.weight", "H13G", "d_sigma",
    "com.apple.e5rt.e5bundlecache/22G91/H13G", "J314sAP", "iMac (24-inch, M1, 2021)",
    "Copyright 2024 The TensorFlow Authors. All Rights Reserved.", "ANECCompile() FAILED: err=()",
    "pip install coremltools==8.1", "https://example.com/home/page", "InceptionV3", "VGG16BN",
]  # fmt: skip
