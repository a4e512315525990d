package endpointd

import (
	"fmt"

	"github.com/endpointd/endpointd/guest-sdk/go/internal/host"
)

// A Level is how much a line in the log matters.
type Level uint32

// From the least to the most severe.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
	Critical
)

// Logf writes a line into the host's log, which adds the plugin's name and the request's id, formatted as by
// [fmt.Sprintf].
func (l Level) Logf(format string, values ...any) {
	host.Log(uint32(l), readable(fmt.Sprintf(format, values...)))
}
