import Foundation

/// What is to be run: Inputs/jobs.json, schema "anereport.runner/1".
struct Jobs: Decodable {
    let schema: String
    let id: String
    let tool: String
    let units: [String]
    let repeats: Int
    let jobs: [Job]

    /// The runs of a model, unit by unit: every input as often as asked for, and on the Neural
    /// Engine a cold start before them.
    func steps(of model: Int) -> [Step] {
        var found: [Step] = []
        func add(_ unit: String, _ input: Int, _ count: Int, _ start: String) {
            found.append(
                Step(
                    model: model, index: found.count, unit: unit, input: input, count: count,
                    start: start))
        }
        for unit in units {
            if unit == "ane" { add(unit, 0, 0, "cold") }
            for input in jobs[model].inputs.indices {
                for count in 0..<repeats {
                    add(unit, input, count, "")
                }
            }
        }
        return found
    }
}

/// One model: its file in Models, the name of its record, what the record says of it.
struct Job: Decodable {
    let file: String
    let record: String
    let model: ModelIdentity
    let inputs: [InputSet]
}

struct InputSet: Decodable {
    let name: String
    let values: [InputValue]
}

/// An input: its file in Inputs holds little-endian elements in row major order.
struct InputValue: Decodable {
    let name: String
    let kind: String
    let dtype: String
    let shape: [Int]
    let color: String
    let file: String
}

/// One run: the model and the input by their positions, the how-many-eth time.
struct Step {
    let model: Int
    let index: Int
    let unit: String
    let input: Int
    let count: Int
    let start: String
}
