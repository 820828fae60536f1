// What happens to the app, scene by scene; each line says what is to be seen of it afterwards.

let identity = ModelIdentity(
    name: "Block.mlmodel", kind: "neuralNetwork", spec_version: 4, sha256: "a",
    sha256_without_metadata: "b", size: 1)
let job = Job(
    file: "1.mlmodel", record: "Block", model: identity,
    inputs: [InputSet(name: "seed-0", values: [])])
let jobs = Jobs(
    schema: "anereport.runner/1", id: "", tool: "", units: ["cpu", "gpu", "ane"], repeats: 2,
    jobs: [job])
let steps = jobs.steps(of: 0)

func records(_ store: Store) -> Records {
    let device = Device(
        label: DeviceLabel.kept, system: "iOS", version: "", build: "", identifier: "", product: "",
        memory: 1, ane_cores: nil, virtual: nil, thermal: "", low_power: false,
        compute_devices: [], tools: [:])
    return Records(jobs: jobs, store: store, device: device)
}

func measure(_ store: Store) async -> String {
    let measuring = Measuring(jobs: jobs, store: store, records: records(store), show: { _ in })
    do { try await measuring.everything() } catch { return words(of: error) }
    return "done"
}

/// The runs that are kept, a digit each: those of the CPU, the GPU, the cold start, the ANE's.
func kept(_ store: Store) -> String {
    steps.map { store.has($0) ? "1" : "0" }.joined()
}

func say(_ scene: String, _ seen: Any...) {
    print(scene, seen.map { "\($0)" }.joined(separator: " | "), separator: "\t")
}

func onGPU(_ happens: @escaping () throws -> Void) {
    predicts = { if $0 == .cpuAndGPU { try happens() } }
}

func message(_ store: Store, _ step: Step) throws -> String {
    try String(contentsOf: store.file(of: step), encoding: .utf8)
}

let first = try Store(project: UUID().uuidString, build: "21A329")
onGPU {
    first.noteFront(false)
    throw Problem("refused in the background")
}
say("away", await measure(first), kept(first), first.leftOut("gpu", of: 0) ?? "-")
say("marker", try first.endUnit(of: jobs, because: "it ended") ?? "-")
onGPU {
    first.noteFront(false)
    first.noteFront(true)
    throw Problem("refused in the background, and told when in front again")
}
first.noteFront(true)
say("back", await measure(first), kept(first))
onGPU { throw Problem("refused in /Users/jane/x, of A8098C1A-F86E-11DA-BD1A-00112444BE1E") }
say("in front", await measure(first), kept(first))
say("message", try message(first, steps[2]))

let second = try Store(project: UUID().uuidString, build: "21A329")
second.noteFront(false)
second.noteFront(true)
second.noteStart()
try second.begin("predict", of: steps[0])
say("crash", try second.endUnit(of: jobs, because: "it ended") ?? "-", kept(second))
say("left out", second.leftOut("cpu", of: 0) ?? "-")
try second.begin("predict", of: steps[2])
second.noteFront(false)
say("ended away", try second.endUnit(of: jobs, because: "it ended") ?? "-", kept(second))

DeviceLabel.keep(" \n")
say("no label", DeviceLabel.kept == DeviceLabel.random)
for label in ["desk", "other desk"] {
    DeviceLabel.keep(label)
    try records(first).assembleAll()
    let files = records(first).files
    let text = try String(contentsOf: files[0], encoding: .utf8)
    say(label, files.count, files[0].lastPathComponent == "Block-\(DeviceLabel.random).json")
    say("\(label) in it", text.contains("\"label\":\"\(label)\""))
}
