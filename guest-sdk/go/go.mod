module github.com/endpointd/endpointd/guest-sdk/go

go 1.27
