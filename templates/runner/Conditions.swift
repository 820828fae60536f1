import Foundation

/// The worst thermal state, and whether low-power mode was on, during the runs of a model.
struct Conditions: Codable {
    var thermal = 0
    var lowPower = false

    static var now: Conditions {
        let process = ProcessInfo.processInfo
        return Conditions(
            thermal: process.thermalState.rawValue, lowPower: process.isLowPowerModeEnabled)
    }

    var words: String {
        let names = ["nominal", "fair", "serious", "critical"]
        return names.indices.contains(thermal) ? names[thermal] : ""
    }

    /// What should be said on the screen, if anything.
    var warning: String? {
        if lowPower { return "Low-power mode is on: turn it off, it changes what runs where." }
        return thermal > 1 ? "The device is hot (\(words)): let it cool." : nil
    }
}

extension Store {
    private func file(_ model: Int) -> URL {
        runs(of: model).appendingPathComponent("conditions")
    }

    func conditions(of model: Int) -> Conditions {
        guard let data = try? Data(contentsOf: file(model)),
            let found = try? JSONDecoder().decode(Conditions.self, from: data)
        else { return .now }
        return found
    }

    func noteConditions(of model: Int) throws {
        let now = Conditions.now
        let before = conditions(of: model)
        let worst = Conditions(
            thermal: max(now.thermal, before.thermal), lowPower: now.lowPower || before.lowPower)
        try Store.make(runs(of: model))
        try JSONEncoder().encode(worst).write(to: file(model), options: .atomic)
    }
}
