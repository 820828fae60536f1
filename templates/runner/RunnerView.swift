import SwiftUI

/// The one screen.
struct RunnerView: View {
    @ObservedObject var state: RunnerState
    @Environment(\.scenePhase) private var phase

    var body: some View {
        NavigationStack {
            List {
                Section("Label of this device, as records carry it") {
                    TextField("label", text: $state.label)
                        .onSubmit { state.keepLabel() }
                        .disabled(state.isRunning)
                }
                Section("Models") {
                    ForEach(state.rows) { row in line(row) }
                }
                Section {
                    buttons
                } footer: {
                    Text("Keep this app in front while it runs, and the device charging and cool.")
                }
            }
            .navigationTitle("anereport runner")
        }
        .onChange(of: phase) { now in
            if now == .background { state.noteFront(false) }
            if now == .active { state.noteFront(true) }
        }
    }

    private func line(_ row: RunnerState.Row) -> some View {
        VStack(alignment: .leading) {
            Text(row.name).lineLimit(1)
            ProgressView(value: Double(row.made), total: Double(row.total))
            Text("\(row.made) of \(row.total) runs").font(.caption)
            if !row.leftOut.isEmpty {
                Text("failed, the rest left out: \(row.leftOut.joined(separator: ", "))")
                    .font(.caption)
            }
        }
    }

    @ViewBuilder private var buttons: some View {
        if let warning = state.warning { Text(warning).bold() }
        if !state.problem.isEmpty { Text(state.problem).bold() }
        if state.isRunning {
            Text(state.current)
            Button("Pause after this run") { state.pause() }
            Button(role: .destructive) {
                state.giveUp()
            } label: {
                Text("Give up this unit, then close and open the app")
            }
        } else if !state.isDone {
            Button("Start or continue") { state.start() }
        }
        if !state.isLabelKept {
            Button("Keep this label") { state.keepLabel() }
        } else if !state.shared.isEmpty {
            ShareLink(items: state.shared) {
                Text("Share records (\(state.shared.count))")
            }
        }
    }
}
