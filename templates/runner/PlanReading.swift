import CoreML
import Foundation

/// Where Core ML anticipates that operations run: a plan, not a trace.
enum PlanReading {
    /// The plan of a compiled model; nothing before iOS 17.4, or if there is none to have.
    static func plan(of model: URL, _ configuration: MLModelConfiguration) async -> Plan? {
        guard #available(iOS 17.4, *) else { return nil }
        guard
            let found = try? await MLComputePlan.load(
                contentsOf: model, configuration: configuration)
        else { return nil }
        return Plan(operations: operations(of: found.modelStructure, found))
    }

    @available(iOS 17.4, *)
    private static func operations(
        of structure: MLModelStructure, _ plan: MLComputePlan
    ) -> [PlannedOperation] {
        switch structure {
        case .neuralNetwork(let network):
            return network.layers.map { layer in
                PlannedOperation(
                    name: layer.name, kind: layer.type, planned: unit(plan.deviceUsage(for: layer)))
            }
        case .program(let program):
            return program.functions.values.flatMap { operations(of: $0.block, plan) }
        case .pipeline(let pipeline):
            return pipeline.subModels.flatMap { operations(of: $0, plan) }
        default: return []
        }
    }

    @available(iOS 17.4, *)
    private static func operations(
        of block: MLModelStructure.Program.Block, _ plan: MLComputePlan
    ) -> [PlannedOperation] {
        block.operations.flatMap { operation in
            let name = operation.outputs.first?.name ?? operation.operatorName
            let planned = unit(plan.deviceUsage(for: operation))
            let own = PlannedOperation(name: name, kind: operation.operatorName, planned: planned)
            return [own] + operation.blocks.flatMap { operations(of: $0, plan) }
        }
    }

    /// Where an operation is preferred to run; nothing if that could not be determined.
    @available(iOS 17.4, *)
    private static func unit(_ usage: MLComputePlan.DeviceUsage?) -> String {
        switch usage?.preferred {
        case .cpu: return "cpu"
        case .gpu: return "gpu"
        case .neuralEngine: return "ane"
        default: return ""
        }
    }
}
