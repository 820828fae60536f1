import SwiftUI
import UIKit

/// What the screen shows, and what its buttons do.
@MainActor
final class RunnerState: ObservableObject {
    struct Row: Identifiable {
        let id: Int
        let name: String
        let made: Int
        let total: Int
        let pending: Int
        let leftOut: [String]
    }

    @Published var label = DeviceLabel.kept  // as it stands on the screen
    @Published private(set) var rows: [Row] = []
    @Published private(set) var current = ""
    @Published private(set) var problem = ""
    @Published private(set) var warning: String?
    @Published private(set) var shared: [URL] = []
    @Published private(set) var task: Task<Void, Never>?
    private var jobs: Jobs?
    private var store: Store?

    init() {
        attempt {
            let found = try Bundled.jobs()
            let place = try Store(project: found.id, build: DeviceFacts.build)
            (jobs, store) = (found, place)
            let how = "the app ended while it ran: a crash, or closed by hand"
            if let model = try place.endUnit(of: found, because: how) {
                try records?.assemble(model)
            }
        }
        refresh()
    }

    var isRunning: Bool { task != nil }
    var isDone: Bool { rows.allSatisfy { $0.pending == 0 } }
    var isLabelKept: Bool { label == DeviceLabel.kept }

    private var records: Records? {
        guard let jobs, let store else { return nil }
        let device = DeviceFacts.device(label: DeviceLabel.kept)
        return Records(jobs: jobs, store: store, device: device)
    }

    func start() {
        keepLabel()
        guard task == nil, let jobs, let store, let records else { return }
        problem = ""
        store.noteFront(true)
        UIApplication.shared.isIdleTimerDisabled = true
        let measuring = Measuring(jobs: jobs, store: store, records: records) { text in
            self.current = text
            self.refresh()
        }
        task = Task {
            let work = Task.detached(priority: .userInitiated) { try await measuring.everything() }
            await withTaskCancellationHandler {
                do { try await work.value } catch { problem = words(of: error) }
            } onCancel: {
                work.cancel()
            }
            UIApplication.shared.isIdleTimerDisabled = false
            (task, current) = (nil, "")
            refresh()
        }
    }

    /// Stop after the run that is being made.
    func pause() {
        task?.cancel()
    }

    /// Record the run that does not end as a failure; the app must be closed and opened again.
    func giveUp() {
        guard let jobs, let store else { return }
        attempt {
            if let model = try store.endUnit(of: jobs, because: "given up by hand") {
                try records?.assemble(model)
            }
        }
        pause()
        refresh()
    }

    func noteFront(_ isInFront: Bool) {
        store?.noteFront(isInFront)
    }

    func keepLabel() {
        if isLabelKept { return }
        DeviceLabel.keep(label)
        label = DeviceLabel.kept
        attempt { try records?.assembleAll() }
        refresh()
    }

    private func attempt(_ work: () throws -> Void) {
        do { try work() } catch { problem = words(of: error) }
    }

    private func refresh() {
        warning = Conditions.now.warning
        shared = records?.files ?? []
        guard let jobs, let store else { return }
        rows = jobs.jobs.indices.map { model in
            let steps = jobs.steps(of: model)
            let leftOut = jobs.units.filter { store.leftOut($0, of: model) != nil }
            let missing = steps.filter { !store.has($0) }
            return Row(
                id: model, name: jobs.jobs[model].model.name, made: steps.count - missing.count,
                total: steps.count, pending: missing.filter { !leftOut.contains($0.unit) }.count,
                leftOut: leftOut)
        }
    }
}
