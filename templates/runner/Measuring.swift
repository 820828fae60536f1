import Foundation

/// Makes the runs that are still to be made, one after the other, off the main thread.
struct Measuring {
    let jobs: Jobs
    let store: Store
    let records: Records
    let show: @MainActor (String) -> Void

    func everything() async throws {
        for model in jobs.jobs.indices {
            for unit in jobs.units {
                try await measure(unit, of: model)
                if Task.isCancelled { return }
            }
        }
    }

    private func measure(_ unit: String, of model: Int) async throws {
        let steps = jobs.steps(of: model)
        let pending = steps.filter { $0.unit == unit && !store.has($0) }
        if pending.isEmpty || store.leftOut(unit, of: model) != nil { return }
        let trial = try UnitTrial(jobs: jobs, store: store, unit: unit)
        for step in pending {
            let name = jobs.jobs[model].record
            await show("\(name), \(unit): run \(step.index + 1) of \(steps.count)")
            try store.noteConditions(of: model)
            guard try await trial.make(step) else {
                try records.assemble(model)
                throw Problem("A run failed while the app was not in front: continue to repeat it.")
            }
            if Task.isCancelled || store.leftOut(unit, of: model) != nil { break }
        }
        try records.assemble(model)
    }
}
