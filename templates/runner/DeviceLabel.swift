import Foundation

/// What the device is called in records: what its user chose, or else a word that is random.
enum DeviceLabel {
    /// Made once for each installation. Files of records are named by it, whatever the label is, so
    /// that a device that is called otherwise does not become two.
    static let random: String = {
        let made = "device-\(String(Int.random(in: 0x100000...0xffffff), radix: 16))"
        let word = UserDefaults.standard.string(forKey: "random") ?? made
        UserDefaults.standard.set(word, forKey: "random")
        return word
    }()

    static var kept: String { UserDefaults.standard.string(forKey: "label") ?? random }

    /// Keep what was typed; where that is nothing, the label is the random word.
    static func keep(_ typed: String) {
        let label = typed.allSatisfy { $0.isWhitespace } ? random : typed
        UserDefaults.standard.set(label, forKey: "label")
    }
}
