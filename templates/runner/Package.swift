// swift-tools-version: 5.10
// An app package, laid out as Swift Playgrounds writes its own; Xcode opens it without a project
// file. Not yet run on hardware. The form is that of https://github.com/noppefoxwolf/SwiftDataUIKit
// (Playground.swiftpm/Package.swift); 5.10 is the first whose SDK has MLComputePlan.

import AppleProductTypes
import PackageDescription

let package = Package(
    name: "ANEReportRunner",
    platforms: [.iOS("16.0")],
    products: [
        .iOSApplication(
            name: "ANEReportRunner",
            targets: ["AppModule"],
            bundleIdentifier: "anereport.runner.{{ key }}",
            teamIdentifier: "",
            displayVersion: "1.0",
            bundleVersion: "1",
            supportedDeviceFamilies: [.pad, .phone],
            supportedInterfaceOrientations: [.portrait, .landscapeLeft, .landscapeRight]
        )
    ],
    targets: [
        .executableTarget(
            name: "AppModule",
            path: ".",
            exclude: ["README.md"],
            resources: [.copy("Models"), .copy("Inputs")]  // as they are: Xcode compiles no model
        )
    ]
)
