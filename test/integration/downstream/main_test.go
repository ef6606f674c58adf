package main

import (
	"strings"
	"testing"
)

func TestAdd(t *testing.T) {
	const result = `{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/run/netns/a"},` +
		`{"name":"/sys/fs/bpf/tc/globals/policy_00042"}],"ips":[]}`
	tests := map[string]struct{ stdin, stdout, stderr string }{
		"a map":  {`{"prevResult":` + result + `}`, result + "\n", "downstream: map policy_ of endpoint 42: /sys/fs/bpf/tc/globals/policy_00042\n"},
		"no map": {`{"prevResult":{}}`, "{}\n", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if err := add([]byte(tt.stdin), &stdout, &stderr); err != nil {
				t.Fatalf("add(%s): %v", tt.stdin, err)
			}
			if stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("add(%s): got result %q and messages %q, want %q and %q",
					tt.stdin, stdout.String(), stderr.String(), tt.stdout, tt.stderr)
			}
		})
	}
}
