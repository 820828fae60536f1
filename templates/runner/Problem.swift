import Foundation

/// A failure of the app's own, as a sentence.
struct Problem: LocalizedError {
    let sentence: String

    init(_ sentence: String) {
        self.sentence = sentence
    }

    var errorDescription: String? { sentence }
}

/// What an error says, without the identifiers of this install that are in the names of folders.
func words(of error: Error) -> String {
    var parts: [String] = []
    var next: NSError? = error as NSError
    while let found = next {
        let origin = error is Problem ? "" : "\(found.domain) \(found.code): "
        parts.append(origin + found.localizedDescription)
        next = found.userInfo[NSUnderlyingErrorKey] as? NSError
    }
    return parts.joined(separator: "; ")
        .replacingOccurrences(
            of: "[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", with: "UUID",
            options: .regularExpression)
}
