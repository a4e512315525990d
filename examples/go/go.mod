module inventory

go 1.27

require github.com/endpointd/endpointd/guest-sdk/go v0.0.0

replace github.com/endpointd/endpointd/guest-sdk/go => ../../guest-sdk/go
