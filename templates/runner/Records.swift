import Foundation

/// Records, put together from the runs that are there.
struct Records {
    let jobs: Jobs
    let store: Store
    var device: Device

    private var folder: URL { store.root.appendingPathComponent("records") }

    /// The files to share.
    var files: [URL] {
        let found = try? FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil)
        return (found ?? []).sorted { $0.path < $1.path }
    }

    /// Write every record again, as after another label was chosen.
    func assembleAll() throws {
        for model in jobs.jobs.indices {
            try assemble(model)
        }
    }

    /// Write the record of a model, if it has runs.
    func assemble(_ model: Int) throws {
        let steps = jobs.steps(of: model)
        let kept = steps.filter(store.has)
        // cold runs last: they are not what another run is compared with
        let made = kept.filter { $0.start.isEmpty } + kept.filter { !$0.start.isEmpty }
        if made.isEmpty { return }
        let job = jobs.jobs[model]
        let head = Record(
            schema: "anereport.record/1", evidence: "measured", model: job.model,
            device: under(store.conditions(of: model)),
            date: ISO8601DateFormatter().string(from: Date()),
            stopped: stopped(model, made.count, steps.count), inputs: try inputs(of: job))
        let draft = store.root.appendingPathComponent("draft.json")
        try json(of: head).dropLast().write(to: draft)  // its closing brace
        let handle = try FileHandle(forWritingTo: draft)
        try handle.seekToEnd()
        var separator = ",\"runs\":["
        for step in made {  // one in memory at a time: outputs may be large
            try handle.write(contentsOf: Data(separator.utf8))
            try handle.write(contentsOf: Data(contentsOf: store.file(of: step)))
            separator = ","
        }
        try handle.write(contentsOf: Data("]}\n".utf8))
        try handle.close()
        let place = folder.appendingPathComponent("\(job.record)-\(DeviceLabel.random).json")
        try? FileManager.default.removeItem(at: place)
        try FileManager.default.moveItem(at: draft, to: place)
    }

    private func under(_ conditions: Conditions) -> Device {
        var found = device
        found.thermal = conditions.words
        found.low_power = conditions.lowPower
        found.tools["anereport"] = jobs.tool
        return found
    }

    /// Why there are fewer runs than were to be made.
    private func stopped(_ model: Int, _ made: Int, _ total: Int) -> String {
        if made == total { return "" }
        let reasons = jobs.units.compactMap { unit in
            store.leftOut(unit, of: model).map { "the rest of \(unit) is left out: \($0)" }
        }
        return (["\(made) of \(total) runs are made"] + reasons).joined(separator: "; ")
    }

    private func inputs(of job: Job) throws -> [String: [String: Tensor]] {
        var found: [String: [String: Tensor]] = [:]
        for set in job.inputs {
            found[set.name] = [:]
            for value in set.values {
                found[set.name]?[value.name] = Tensor(
                    dtype: value.dtype, shape: value.shape, strides: nil,
                    data: try Data(contentsOf: Bundled.input(value.file)))
            }
        }
        return found
    }
}
