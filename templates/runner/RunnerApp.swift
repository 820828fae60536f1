import SwiftUI

/// Measures Core ML models on every compute unit of this device. Not yet run on hardware.
@main
struct RunnerApp: App {
    @StateObject private var state = RunnerState()

    var body: some Scene {
        WindowGroup {
            RunnerView(state: state)
        }
    }
}
