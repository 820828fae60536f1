import Foundation

/// What was measured, as files: one per run, written whole, so that a crash loses none of them.
///
///     runs/0/3.json        the fourth run of the first model
///     runs/0/left-out-ane  why the rest of a unit is left out
///     running.json         the run that has begun and not ended
///     away                 the app is not in front
///     left                 it was not, since the run started
///     compiled/0.mlmodelc  the first model, compiled once
///     records/             the records, to be shared
///
/// The folder is of one project and one build of the system: a record never mixes two.
struct Store {
    let root: URL

    init(project: String, build: String) throws {
        let support = try FileManager.default.url(
            for: .applicationSupportDirectory, in: .userDomainMask, appropriateFor: nil,
            create: true)
        root = support.appendingPathComponent("\(project)-\(build)")
        for name in ["runs", "compiled", "records"] {
            try Store.make(root.appendingPathComponent(name))
        }
    }

    func compiled(_ model: Int) -> URL {
        root.appendingPathComponent("compiled/\(model).mlmodelc")
    }

    func runs(of model: Int) -> URL {
        root.appendingPathComponent("runs/\(model)")
    }

    func file(of step: Step) -> URL {
        runs(of: step.model).appendingPathComponent("\(step.index).json")
    }

    func has(_ step: Step) -> Bool {
        FileManager.default.fileExists(atPath: file(of: step).path)
    }

    func keep(_ run: Run, of step: Step) throws {
        try Store.make(runs(of: step.model))
        try json(of: run).write(to: file(of: step), options: .atomic)
    }

    func leaveOut(_ unit: String, of model: Int, because reason: String) throws {
        try Store.make(runs(of: model))
        try Data(reason.utf8).write(to: leftOutFile(unit, model), options: .atomic)
    }

    /// Why the rest of a unit is left out, if it is.
    func leftOut(_ unit: String, of model: Int) -> String? {
        try? String(contentsOf: leftOutFile(unit, model), encoding: .utf8)
    }

    private func leftOutFile(_ unit: String, _ model: Int) -> URL {
        runs(of: model).appendingPathComponent("left-out-\(unit)")
    }

    static func make(_ folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
}
