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

    func begin(_ stage: String, of step: Step) throws {
        let begun = Marker(model: step.model, index: step.index, stage: stage)
        try JSONEncoder().encode(begun).write(to: marker, options: .atomic)
    }

    func clearMarker() {
        try? FileManager.default.removeItem(at: marker)
    }

    /// Note whether the app is in front. Elsewhere the system may end it, and that is no crash: the
    /// run that has begun is made again.
    func noteFront(_ isInFront: Bool) {
        if isInFront {
            try? FileManager.default.removeItem(at: away)
        } else {
            try? Data().write(to: away)
        }
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
        let message = "\(how) in the stage \(begun.stage)"
        let failure = Failure(stage: begun.stage, message: message)
        try keep(jobs.run(of: step, failure: failure), of: step)
        try leaveOut(step.unit, of: step.model, because: message)
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
