import Foundation

/// A failure of the app's own, as a sentence.
struct Problem: LocalizedError {
    let sentence: String

    init(_ sentence: String) {
        self.sentence = sentence
    }

    var errorDescription: String? { sentence }
}

/// What an error says, without what its paths tell of a person or of this installation.
func words(of error: Error) -> String {
    var parts: [String] = []
    var next: NSError? = error as NSError
    while let found = next {
        let origin = error is Problem ? "" : "\(found.domain) \(found.code): "
        parts.append(origin + found.localizedDescription)
        next = found.userInfo[NSUnderlyingErrorKey] as? NSError
    }
    return withoutHomes(parts.joined(separator: "; "))
}

/// A text whose paths lead through no person's folder, as they do on a Mac and in a simulator, and
/// name no container.
private func withoutHomes(_ text: String) -> String {
    let homes = #"(/Users|/home)/[^/\s'":,;)]+"#
    let containers = "[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}"
    return
        text
        .replacingOccurrences(of: homes, with: "~", options: .regularExpression)
        .replacingOccurrences(of: containers, with: "UUID", options: .regularExpression)
}
