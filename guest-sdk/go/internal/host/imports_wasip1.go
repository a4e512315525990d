package host

import "unsafe"

//go:wasmimport wasi:logging/logging@0.1.0-draft log
func log(level uint32, context, message string)

// Log writes a line, at one of the contract's levels.
func Log(level uint32, text string) {
	log(level, "", text)
}

//go:wasmimport wasi:config/store@0.2.0-rc.1 get
func configGet(key string, result unsafe.Pointer)

//go:wasmimport wasi:config/store@0.2.0-rc.1 get-all
func configGetAll(result unsafe.Pointer)

// Setting is the setting or secret of a name; nil also where a secret cannot be read.
func Setting(name string) *string {
	begin()
	defer end()
	configGet(name, unsafe.Pointer(&area))
	var setting *string
	if tagAt(0) == 0 {
		setting = optionIn(4)
	}
	return setting
}

// Settings are all settings, by name.
func Settings() map[string]string {
	begin()
	defer end()
	configGetAll(unsafe.Pointer(&area))
	settings := map[string]string{}
	if tagAt(0) == 0 {
		words := wordsAt(at(4), at(8)*4)
		for ; len(words) > 0; words = words[4:] {
			settings[textAt(words[0], words[1])] = textAt(words[2], words[3])
		}
	}
	return settings
}

//go:wasmimport endpointd:rpc/call-info@0.1.0 id
func callID(result unsafe.Pointer)

//go:wasmimport endpointd:rpc/call-info@0.1.0 delivery
func callDelivery() uint32

//go:wasmimport endpointd:rpc/call-info@0.1.0 remaining-ms
func callRemainingMs(result unsafe.Pointer)

//go:wasmimport endpointd:rpc/call-info@0.1.0 host-started-ms
func hostStartedMs() uint64

// CallID is the message's unique id.
func CallID() string {
	begin()
	defer end()
	callID(unsafe.Pointer(&area))
	id := textIn(0)
	return id
}

// IsCast tells whether nobody waits for the result.
func IsCast() bool {
	return callDelivery() == 1
}

// RemainingMs is what is left of the caller's time, where it is known.
func RemainingMs() (milliseconds uint64, isKnown bool) {
	begin()
	defer end()
	callRemainingMs(unsafe.Pointer(&area))
	return area[1], tagAt(0) == 1
}

// HostStartedMs is when the host started, since 1970.
func HostStartedMs() uint64 {
	return hostStartedMs()
}

//go:wasmimport endpointd:rpc/client@0.1.0 call
func clientCall(parameters, result unsafe.Pointer)

//go:wasmimport endpointd:rpc/client@0.1.0 cast
func clientCast(parameters, result unsafe.Pointer)

//go:wasmimport endpointd:rpc/client@0.1.0 fanout
func clientFanout(parameters, result unsafe.Pointer)

var parameters [23]uint32

// Send sends a message, and gives the result of a call.
func Send(kind Kind, message Message) (string, *SendError) {
	begin()
	defer end()
	before := len(given)
	give := &parameters
	give[0], give[1], give[2] = giveOption(message.Exchange)
	give[3], give[4] = giveText(message.Topic)
	give[5], give[6], give[7] = giveOption(message.Server)
	give[8], give[9], give[10] = giveOption(message.Namespace)
	give[11], give[12], give[13] = giveOption(message.Version)
	give[14], give[15] = giveText(message.Method)
	give[16], give[17] = giveText(message.Args)
	give[18], give[19] = 0, 0
	if message.TimeoutMs != nil {
		give[18], give[19] = 1, *message.TimeoutMs
	}
	give[20], give[21], give[22] = giveOption(message.Context)
	switch kind {
	case Call:
		clientCall(unsafe.Pointer(give), unsafe.Pointer(&area))
	case Cast:
		clientCast(unsafe.Pointer(give), unsafe.Pointer(&area))
	case Fanout:
		clientFanout(unsafe.Pointer(give), unsafe.Pointer(&area))
	}
	var result string
	var problem *SendError
	if tagAt(0) != 0 {
		problem = sendError()
	} else if kind == Call {
		result = textIn(4)
	}
	clear(given[before:])
	given = given[:before]
	return result, problem
}

// sendError is the error in the area: its case is at byte 4.
func sendError() *SendError {
	problem := &SendError{Problem: SendProblem(tagAt(4))}
	switch problem.Problem {
	case NotGranted, Invalid, Unavailable:
		problem.Text = textIn(8)
	case Remote:
		problem.Failure = &Failure{
			Class:    textIn(8),
			Module:   textIn(16),
			Message:  textIn(24),
			Kwargs:   optionIn(32),
			Expected: tagAt(52) != 0,
		}
		for words := wordsAt(at(44), at(48)*2); len(words) > 0; words = words[2:] {
			problem.Failure.Traceback = append(problem.Failure.Traceback, textAt(words[0], words[1]))
		}
	}
	return problem
}
