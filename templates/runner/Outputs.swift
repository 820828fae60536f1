import CoreML
import CoreVideo
import Foundation

/// Outputs as the record has them.
enum Outputs {
    static func values(of features: MLFeatureProvider) throws -> [String: Value] {
        var found: [String: Value] = [:]
        for name in features.featureNames {
            guard let feature = features.featureValue(for: name) else {
                throw Problem("Core ML gave no value of an output")
            }
            found[name] = try value(of: feature)
        }
        return found
    }

    private static func value(of feature: MLFeatureValue) throws -> Value {
        switch feature.type {
        case .string: return .string(feature.stringValue)
        case .int64: return .integer(feature.int64Value)
        case .double:
            let bytes = withUnsafeBytes(of: feature.doubleValue) { Data($0) }
            return .tensor(Tensor(dtype: "float64", shape: [], strides: nil, data: bytes))
        case .dictionary:
            var numbers: [String: Double] = [:]
            for (label, number) in feature.dictionaryValue {
                numbers["\(label)"] = number.doubleValue
            }
            return .dictionary(numbers)
        case .multiArray:
            if let array = feature.multiArrayValue { return .tensor(try tensor(of: array)) }
        case .image:
            if let image = feature.imageBufferValue { return .tensor(try tensor(of: image)) }
        default: break
        }
        throw Problem("an output is of a kind that a record does not hold")
    }

    /// The memory of an array as it is, padding included, with the strides by which it is read.
    private static func tensor(of array: MLMultiArray) throws -> Tensor {
        let kind = try element(of: array.dataType)
        let shape = array.shape.map(\.intValue)
        return try array.withUnsafeBytes { bytes in
            let strides = array.strides.map(\.intValue)
            let last = zip(shape, strides).map { ($0 - 1) * $1 }.reduce(0, +)
            let needed = shape.contains(0) ? 0 : (1 + last) * kind.size
            guard strides.allSatisfy({ $0 >= 0 }), needed <= bytes.count else {
                throw Problem(
                    "an output of shape \(shape), strides \(strides) is of \(bytes.count) bytes")
            }
            return Tensor(
                dtype: kind.name, shape: shape, strides: strides, data: Data(bytes.prefix(needed)))
        }
    }

    private static func element(of type: MLMultiArrayDataType) throws -> (name: String, size: Int) {
        switch type {
        case .float16: return ("float16", 2)
        case .float32: return ("float32", 4)
        case .double: return ("float64", 8)
        case .int32: return ("int32", 4)
        default: throw Problem("an output has elements of a type that a record does not hold")
        }
    }

    private static func tensor(of image: CVPixelBuffer) throws -> Tensor {
        CVPixelBufferLockBaseAddress(image, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(image, .readOnly) }
        guard let base = CVPixelBufferGetBaseAddress(image) else {
            throw Problem("an output image has no memory")
        }
        let (height, width) = (CVPixelBufferGetHeight(image), CVPixelBufferGetWidth(image))
        let stride = CVPixelBufferGetBytesPerRow(image)
        switch CVPixelBufferGetPixelFormatType(image) {
        case kCVPixelFormatType_32BGRA: return colored(base, height, width, stride)
        case kCVPixelFormatType_OneComponent8:
            return gray(base, height, width, stride, "uint8", 1)
        case kCVPixelFormatType_OneComponent16Half:
            return gray(base, height, width, stride, "float16", 2)
        default: throw Problem("an output image is of a format that a record does not hold")
        }
    }

    /// The memory of a gray image as (H, W), its padding included.
    private static func gray(
        _ base: UnsafeMutableRawPointer, _ height: Int, _ width: Int, _ stride: Int,
        _ dtype: String, _ size: Int
    ) -> Tensor {
        let bytes = Data(bytes: base, count: (height - 1) * stride + width * size)
        return Tensor(
            dtype: dtype, shape: [height, width], strides: [stride / size, 1], data: bytes)
    }

    /// A colored image as (H, W, 3) in the order R, G, B.
    private static func colored(
        _ base: UnsafeMutableRawPointer, _ height: Int, _ width: Int, _ stride: Int
    ) -> Tensor {
        var pixels = Data(capacity: height * width * 3)
        for y in 0..<height {
            for x in 0..<width {
                for place in [2, 1, 0] {
                    let offset = y * stride + 4 * x + place
                    pixels.append(base.load(fromByteOffset: offset, as: UInt8.self))
                }
            }
        }
        return Tensor(dtype: "uint8", shape: [height, width, 3], strides: nil, data: pixels)
    }
}
