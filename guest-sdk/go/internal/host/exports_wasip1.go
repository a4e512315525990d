package host

import "unsafe"

var (
	servedTargets [2]uint32
	outcome       [13]uint32
)

//go:wasmexport targets
func targets() unsafe.Pointer {
	enter()
	var words []uint32
	for _, target := range Targets() {
		present, namespace, namespaceLength := giveOption(target.Namespace)
		version, versionLength := giveText(target.Version)
		methods, count := giveTexts(target.Methods)
		words = append(words, present, namespace, namespaceLength, version, versionLength, methods, count)
	}
	servedTargets[0], servedTargets[1] = giveList(words, 7)
	leave()
	return unsafe.Pointer(&servedTargets)
}

//go:wasmexport dispatch
func dispatch(hasNamespace, namespace, namespaceLength, version, versionLength, method, methodLength,
	args, argsLength, context, contextLength uint32) unsafe.Pointer {
	request := Request{
		Version: textAt(version, versionLength),
		Method:  textAt(method, methodLength),
		Args:    textAt(args, argsLength),
		Context: textAt(context, contextLength),
	}
	if hasNamespace != 0 {
		request.Namespace = new(textAt(namespace, namespaceLength))
	}
	enter()
	result, failure := Dispatch(request)
	clear(outcome[:])
	if failure == nil {
		outcome[1], outcome[2] = giveText(result)
	} else {
		outcome[0] = 1
		outcome[1], outcome[2] = giveText(failure.Class)
		outcome[3], outcome[4] = giveText(failure.Module)
		outcome[5], outcome[6] = giveText(failure.Message)
		outcome[7], outcome[8], outcome[9] = giveOption(failure.Kwargs)
		outcome[10], outcome[11] = giveTexts(failure.Traceback)
		if failure.Expected {
			outcome[12] = 1
		}
	}
	leave()
	return unsafe.Pointer(&outcome)
}
