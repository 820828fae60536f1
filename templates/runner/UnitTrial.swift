import CoreML
import Foundation

/// The runs of one model on one compute unit; the model is loaded once for those that are not cold.
final class UnitTrial {
    private let jobs: Jobs
    private let store: Store
    private let configuration = MLModelConfiguration()
    private var loaded: MLModel?

    init(jobs: Jobs, store: Store, unit: String) throws {
        let units: [String: MLComputeUnits] = [
            "cpu": .cpuOnly, "gpu": .cpuAndGPU, "ane": .cpuAndNeuralEngine, "all": .all,
        ]
        guard let wanted = units[unit] else { throw Problem("no compute unit is called \(unit)") }
        self.jobs = jobs
        self.store = store
        configuration.computeUnits = wanted
    }

    /// Make a run and keep it; a failure before the prediction is that of the whole unit.
    ///
    /// Returns false, and keeps nothing, if it failed and the app was not in front all the time.
    func make(_ step: Step) async throws -> Bool {
        store.noteStart()
        var run = jobs.run(of: step)
        var stage = ""
        do {
            run.outputs = try await outputs(of: step, &run.times) { begun in
                stage = begun
                try self.store.begin(begun, of: step)
            }
        } catch {
            run.failure = Failure(stage: stage, message: words(of: error))
        }
        if store.has(step) { return true }  // given up by hand in the meantime
        if run.failure != nil, store.wasAway {
            store.clearMarker()
            return false
        }
        try store.keep(run, of: step)
        if run.failure != nil, stage == "compile" || stage == "load" {
            try store.leaveOut(step.unit, of: step.model, because: "it failed to \(stage)")
        }
        let isFirst = step.input == 0 && step.count == 0 && step.start.isEmpty
        if isFirst, run.failure == nil {
            try store.begin("plan", of: step)  // the run is kept: a crash now loses its plan alone
            run.plan = await PlanReading.plan(of: store.compiled(step.model), configuration)
            try store.keep(run, of: step)
        }
        store.clearMarker()
        return true
    }

    private func outputs(
        of step: Step, _ times: inout [String: Double], _ begin: (String) throws -> Void
    ) async throws -> [String: Value] {
        let cold = step.start == "cold"
        var fresh: URL?
        defer { if let fresh { try? FileManager.default.removeItem(at: fresh) } }
        var model = cold ? nil : loaded
        if model == nil {
            try begin("compile")
            var started = now
            let compiled = try await cold ? compiledAnew(step) : compiledOnce(step)
            if cold {
                fresh = compiled
                times["compile"] = now - started
            }
            try begin("load")
            started = now
            model = try MLModel(contentsOf: compiled, configuration: configuration)
            times["load"] = now - started
            if !cold { loaded = model }
        }
        guard let model else { throw Problem("Core ML gave no model") }
        try begin("predict")
        let inputs = try Inputs.provider(of: jobs.jobs[step.model].inputs[step.input])
        let started = now
        let features = try predicted(model, inputs)
        times["predict"] = now - started
        try begin("read")
        return try Outputs.values(of: features)
    }

    /// A prediction that blocks its thread: the one that every system from iOS 11 on has.
    private func predicted(
        _ model: MLModel, _ inputs: MLFeatureProvider
    ) throws -> MLFeatureProvider {
        try model.prediction(from: inputs)
    }

    private func compiledAnew(_ step: Step) async throws -> URL {
        try await MLModel.compileModel(at: Bundled.model(jobs.jobs[step.model].file))
    }

    /// The model compiled at a place that stays, the same for all units.
    private func compiledOnce(_ step: Step) async throws -> URL {
        let place = store.compiled(step.model)
        if !FileManager.default.fileExists(atPath: place.path) {
            try FileManager.default.moveItem(at: await compiledAnew(step), to: place)
        }
        return place
    }

    private var now: Double { ProcessInfo.processInfo.systemUptime }
}
