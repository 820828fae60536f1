import CoreML
import Foundation

/// What this device is; no name of a person, no identifier of the one device.
enum DeviceFacts {
    static func device(label: String) -> Device {
        let process = ProcessInfo.processInfo
        let version = process.operatingSystemVersion
        let parts = [version.majorVersion, version.minorVersion, version.patchVersion]
        let shown = parts[2] == 0 ? parts.dropLast() : parts[...]
        let listed = computeDevices()
        return Device(
            label: label,
            system: process.isiOSAppOnMac ? "macOS" : "iOS",
            version: shown.map(String.init).joined(separator: "."),
            build: build,
            identifier: simulated["SIMULATOR_MODEL_IDENTIFIER"]
                ?? asked(process.isiOSAppOnMac ? "hw.model" : "hw.machine"),
            product: simulated.isEmpty ? "" : "Simulator",
            memory: process.physicalMemory,
            ane_cores: listed.cores,
            virtual: simulated.isEmpty ? nil : true,
            thermal: "",
            low_power: false,
            compute_devices: listed.names,
            tools: [:])
    }

    static var build: String {
        simulated["SIMULATOR_RUNTIME_BUILD_VERSION"] ?? asked("kern.osversion")
    }

    /// What a simulator tells of what it simulates; its kernel is the Mac's. Empty on a device.
    private static var simulated: [String: String] {
        #if targetEnvironment(simulator)
        return ProcessInfo.processInfo.environment
        #else
        return [:]
        #endif
    }

    /// A fact that the kernel tells as a text; nothing if it does not.
    private static func asked(_ name: String) -> String {
        var size = 0
        guard sysctlbyname(name, nil, &size, nil, 0) == 0 else { return "" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return "" }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The compute devices, by the names of their classes, and the cores of the Neural Engine.
    private static func computeDevices() -> (names: [String], cores: Int?) {
        var names: [String] = []
        var cores: Int?
        if #available(iOS 17.0, *) {
            for device in MLModel.availableComputeDevices {
                switch device {
                case .cpu: names.append("MLCPUComputeDevice")
                case .gpu: names.append("MLGPUComputeDevice")
                case .neuralEngine(let engine):
                    names.append("MLNeuralEngineComputeDevice")
                    cores = engine.totalCoreCount
                @unknown default: names.append("\(device)")
                }
            }
        }
        return (names, cores)
    }
}
