import Foundation

/// What came with the app: jobs.json, the models, the inputs.
enum Bundled {
    /// The folder of Models and Inputs: that of the app, or of a bundle of resources inside it.
    static let folder: URL? = {
        let app = Bundle.main.bundleURL
        let inside = try? FileManager.default.contentsOfDirectory(
            at: app, includingPropertiesForKeys: nil)
        let bundles = (inside ?? []).filter { $0.pathExtension == "bundle" }
        return ([app] + bundles).first { folder in
            let jobs = folder.appendingPathComponent("Inputs/jobs.json")
            return FileManager.default.fileExists(atPath: jobs.path)
        }
    }()

    static func jobs() throws -> Jobs {
        let found = try JSONDecoder().decode(Jobs.self, from: Data(contentsOf: input("jobs.json")))
        guard found.schema == "anereport.runner/1" else {
            throw Problem("jobs.json has the schema \(found.schema): generate the project again")
        }
        return found
    }

    static func model(_ file: String) throws -> URL {
        try within("Models").appendingPathComponent(file)
    }

    static func input(_ file: String) throws -> URL {
        try within("Inputs").appendingPathComponent(file)
    }

    private static func within(_ name: String) throws -> URL {
        guard let folder else {
            throw Problem("the app has no Inputs/jobs.json: generate the project again")
        }
        return folder.appendingPathComponent(name)
    }
}
