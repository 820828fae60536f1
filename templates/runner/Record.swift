import Foundation

// The names are those of the schema "anereport.record/1".

/// An array as base64 of little-endian bytes; strides count elements.
struct Tensor: Encodable {
    let dtype: String
    let shape: [Int]
    let strides: [Int]?
    let data: Data
}

enum Value: Encodable {
    case tensor(Tensor)
    case dictionary([String: Double])
    case string(String)
    case integer(Int64)

    func encode(to encoder: Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .tensor(let tensor): try container.encode(tensor)
        case .dictionary(let numbers): try container.encode(numbers)
        case .string(let text): try container.encode(text)
        case .integer(let number): try container.encode(number)
        }
    }
}

struct Failure: Encodable {
    let stage: String
    let message: String
}

struct PlannedOperation: Encodable {
    let name: String
    let kind: String
    let planned: String
}

struct Plan: Encodable {
    let operations: [PlannedOperation]
}

/// One prediction, with outputs or a failure.
struct Run: Encodable {
    let unit: String
    let input: String
    let `repeat`: Int
    let start: String
    var outputs: [String: Value]?
    var failure: Failure?
    var times: [String: Double] = [:]
    var plan: Plan?
}

struct Device: Encodable {
    var label: String
    let system: String
    let version: String
    let build: String
    let identifier: String
    let product: String
    let memory: UInt64
    let ane_cores: Int?
    let virtual: Bool?
    var thermal: String
    var low_power: Bool
    let compute_devices: [String]
    var tools: [String: String]
}

struct ModelIdentity: Codable {
    let name: String
    let kind: String
    let spec_version: Int
    let sha256: String
    let sha256_without_metadata: String
    let size: Int
}

/// The record without its runs, which are files already and follow as they are.
struct Record: Encodable {
    let schema: String
    let evidence: String
    let model: ModelIdentity
    let device: Device
    let date: String
    let stopped: String
    let inputs: [String: [String: Tensor]]
}

/// The JSON of a part of a record; NaN and the infinities are as the schema has them.
func json(of part: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return try encoder.encode(part)
}
