// What stands in for Core ML, the bundle and the device around the app's own rules.

enum MLComputeUnits { case cpuOnly, cpuAndGPU, cpuAndNeuralEngine, all }

final class MLModelConfiguration {
    var computeUnits = MLComputeUnits.all
}

protocol MLFeatureProvider {}

struct NoFeatures: MLFeatureProvider {}

var predicts: (MLComputeUnits) throws -> Void = { _ in }

final class MLModel {
    let configuration: MLModelConfiguration

    init(contentsOf compiled: URL, configuration: MLModelConfiguration) throws {
        self.configuration = configuration
    }

    func prediction(from inputs: MLFeatureProvider) throws -> MLFeatureProvider {
        try predicts(configuration.computeUnits)
        return NoFeatures()
    }

    static func compileModel(at model: URL) async throws -> URL {
        let place = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try Data().write(to: place)
        return place
    }
}

enum Inputs {
    static func provider(of set: InputSet) throws -> MLFeatureProvider { NoFeatures() }
}

enum Outputs {
    static func values(of features: MLFeatureProvider) throws -> [String: Value] {
        ["y": .integer(1)]
    }
}

enum PlanReading {
    static func plan(of model: URL, _ configuration: MLModelConfiguration) async -> Plan? { nil }
}

enum Bundled {
    static func model(_ file: String) throws -> URL { URL(fileURLWithPath: "/\(file)") }
    static func input(_ file: String) throws -> URL { URL(fileURLWithPath: "/\(file)") }
}

struct Conditions {
    let words = "nominal"
    let lowPower = false
}

extension Store {
    func conditions(of model: Int) -> Conditions { Conditions() }
    func noteConditions(of model: Int) throws {}
}
