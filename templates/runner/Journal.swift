import Foundation

/// The run that has begun and not ended: what is found of it at the next start is a crash.
struct Marker: Codable {
    let model: Int
    let index: Int
    let stage: String
}

extension Store {
    private var marker: URL { root.appendingPathComponent("running.json") }
    private var away: URL { root.appendingPathComponent("away") }
    private var left: URL { root.appendingPathComponent("left") }

    /// Whether the app was not in front, now or before, since the last call of `noteStart`.
    var wasAway: Bool {
        [away, left].contains { FileManager.default.fileExists(atPath: $0.path) }
    }

    func begin(_ stage: String, of step: Step) throws {
        let begun = Marker(model: step.model, index: step.index, stage: stage)
        try JSONEncoder().encode(begun).write(to: marker, options: .atomic)
    }

    func clearMarker() {
        try? FileManager.default.removeItem(at: marker)
    }

    /// Note whether the app is in front. Elsewhere the system may end it, or refuse it the GPU, and
    /// that is no failure: the run that has begun is made again.
    func noteFront(_ isInFront: Bool) {
        if isInFront {
            try? FileManager.default.moveItem(at: away, to: left)
            try? FileManager.default.removeItem(at: away)
        } else {
            try? Data().write(to: away)
        }
    }

    /// Note that a run starts; that the app was away before is nothing to it.
    func noteStart() {
        try? FileManager.default.removeItem(at: left)
    }

    /// Record the run that has begun as a failure, leave out the rest of its unit, and return its
    /// model; nothing if no run has begun.
    func endUnit(of jobs: Jobs, because how: String) throws -> Int? {
        defer { clearMarker() }
        if FileManager.default.fileExists(atPath: away.path) { return nil }
        guard let data = try? Data(contentsOf: marker),
            let begun = try? JSONDecoder().decode(Marker.self, from: data)
        else { return nil }
        let step = jobs.steps(of: begun.model)[begun.index]
        if has(step) { return nil }  // its plan alone is lost
        let failure = Failure(stage: begun.stage, message: how)
        try keep(jobs.run(of: step, failure: failure), of: step)
        try leaveOut(step.unit, of: step.model, because: how)
        return step.model
    }
}

extension Jobs {
    /// The run of a step, without outputs as yet.
    func run(of step: Step, failure: Failure? = nil) -> Run {
        let input = jobs[step.model].inputs[step.input].name
        return Run(
            unit: step.unit, input: input, repeat: step.count, start: step.start, failure: failure)
    }
}
