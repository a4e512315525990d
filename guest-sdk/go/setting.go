package endpointd

import "github.com/endpointd/endpointd/guest-sdk/go/internal/host"

// Setting is the setting or the secret of a name, from [config] and [secrets] of plugin.toml. There is none either
// where a secret cannot be read now.
func Setting(name string) (setting string, isThere bool) {
	if found := host.Setting(name); found != nil {
		return *found, true
	}
	return "", false
}

// ParseSetting is the setting of a name as parse reads it, such as [strconv.Atoi], or another value if there is none.
// If it cannot be read, the error is a ValueError that names it.
func ParseSetting[T any](name string, otherwise T, parse func(string) (T, error)) (T, error) {
	setting, isThere := Setting(name)
	if !isThere {
		return otherwise, nil
	}
	value, err := parse(setting)
	if err != nil {
		return otherwise, Failf("ValueError", "setting `%s` of the plugin is wrong: %v", name, err)
	}
	return value, nil
}

// Settings are all settings by name, without the secrets.
func Settings() map[string]string {
	return host.Settings()
}
