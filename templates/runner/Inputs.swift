import CoreML
import CoreVideo
import Foundation

/// Inputs as Core ML takes them, made anew for each prediction.
enum Inputs {
    static func provider(of set: InputSet) throws -> MLFeatureProvider {
        var values: [String: MLFeatureValue] = [:]
        for value in set.values {
            let data = try Data(contentsOf: Bundled.input(value.file))
            values[value.name] =
                value.kind == "image"
                ? MLFeatureValue(pixelBuffer: try image(value, data))
                : MLFeatureValue(multiArray: try array(value, data))
        }
        return try MLDictionaryFeatureProvider(dictionary: values)
    }

    /// An array over memory of its own: Core ML does not promise how it lays out what it allocates.
    private static func array(_ value: InputValue, _ data: Data) throws -> MLMultiArray {
        let kinds: [String: MLMultiArrayDataType] = [
            "float16": .float16, "float32": .float32, "float64": .double, "int32": .int32,
        ]
        guard let kind = kinds[value.dtype] else {
            throw Problem("an input of \(value.dtype) cannot be given to Core ML")
        }
        var strides = value.shape.map { _ in 1 }
        for axis in value.shape.indices.dropLast().reversed() {
            strides[axis] = strides[axis + 1] * value.shape[axis + 1]
        }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(data.count, 1), alignment: 64)
        data.copyBytes(to: UnsafeMutableRawBufferPointer(start: memory, count: data.count))
        return try MLMultiArray(
            dataPointer: memory, shape: value.shape.map { NSNumber(value: $0) }, dataType: kind,
            strides: strides.map { NSNumber(value: $0) }, deallocator: { $0.deallocate() })
    }

    /// An image of planes (1, C, H, W) in the order of its color, row by row into a pixel buffer.
    private static func image(_ value: InputValue, _ data: Data) throws -> CVPixelBuffer {
        let (channels, height, width) = (value.shape[1], value.shape[2], value.shape[3])
        let size = value.dtype == "float16" ? 2 : 1
        let formats = [
            "RGB": kCVPixelFormatType_32BGRA, "BGR": kCVPixelFormatType_32BGRA,
            "GRAYSCALE": kCVPixelFormatType_OneComponent8,
            "GRAYSCALE_FLOAT16": kCVPixelFormatType_OneComponent16Half,
        ]
        var made: CVPixelBuffer?
        if let format = formats[value.color] {
            CVPixelBufferCreate(nil, width, height, format, nil, &made)
        }
        guard let buffer = made else { throw Problem("no image of \(value.color) could be made") }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        guard let base = CVPixelBufferGetBaseAddress(buffer) else {
            throw Problem("a new image has no memory")
        }
        let stride = CVPixelBufferGetBytesPerRow(buffer)
        let planes = [UInt8](data)
        let plane = width * height
        let blue = value.color == "BGR" ? [0, 1, 2] : [2, 1, 0]  // the planes of B, G, R
        for y in 0..<height {
            let row = base + y * stride
            if channels == 1 {
                let begin = y * width * size
                row.copyMemory(
                    from: Array(planes[begin..<begin + width * size]), byteCount: width * size)
                continue
            }
            for x in 0..<width {
                for (place, channel) in blue.enumerated() {
                    row.storeBytes(
                        of: planes[channel * plane + y * width + x], toByteOffset: 4 * x + place,
                        as: UInt8.self)
                }
                row.storeBytes(of: 255, toByteOffset: 4 * x + 3, as: UInt8.self)
            }
        }
        return buffer
    }
}
