package main

import (
	"strings"
	"testing"
)

// Whoever calls a command wrongly is told what to type.
func TestCalledWrongly(t *testing.T) {
	for args, want := range map[string]string{
		"verson":                    `unknown command "verson" for "bpffsctl": bpffsctl --help`,
		"list web":                  `unknown command "web" for "bpffsctl list": bpffsctl list --help`,
		"show":                      "accepts 1 arg(s), received 0: bpffsctl show --help",
		"show -1":                   "unknown shorthand flag: '1' in -1: bpffsctl show --help",
		"gc --older-than 5":         "bpffsctl gc --help",
		"install --timeout=-1s":     "--timeout -1s: give the time to wait",
		"install --watch --timeout": "bpffsctl install --help",
	} {
		var out strings.Builder
		code := run(t.Context(), strings.Fields(args), &out, &out)
		if code != exitFailed || !strings.Contains(out.String(), want) {
			t.Errorf("%q: got exit code %d, want %d, and %q in %s", args, code, exitFailed, want, out.String())
		}
	}
}
