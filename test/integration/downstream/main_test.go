package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

func TestAdd(t *testing.T) {
	const path = "/sys/fs/bpf/tc/globals/policy_00042"
	for _, tt := range []struct {
		name, interfaces, stderr string
		paths                    []string
	}{
		{"a map", `{"name":"eth0"},{"name":"` + path + `"}`, "downstream: map policy_ of endpoint 42: " + path + "\n", []string{path}},
		{"no map", `{"name":"eth0"}`, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			conf := `{"cniVersion":"1.0.0","prevResult":{"cniVersion":"1.0.0","interfaces":[` + tt.interfaces + `]}}`
			if err := add([]byte(conf), &stdout, &stderr); err != nil {
				t.Fatalf("add(%s): got %v, want success", conf, err)
			}
			paths, err := plugintest.Paths(stdout.String())
			if err != nil || !cmp.Equal(paths, tt.paths) || stderr.String() != tt.stderr {
				t.Errorf("add(%s): got the paths %q (%v) and the messages %q, want %q and %q",
					conf, paths, err, stderr.String(), tt.paths, tt.stderr)
			}
		})
	}
}
