package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// builtDir holds the programs below the directory of a run.
const builtDir = "built"

// build builds into dir our plugin as the Makefile in source does, the programs
// that it is measured against, and those that help to measure, all alike.
func build(ctx context.Context, source, dir string) error {
	const plugins = "github.com/containernetworking/plugins/plugins/"
	steps := [][]string{
		{"make", "-s", "-C", source, "build", "BIN=" + dir},
		{
			"go", "build", "-C", filepath.Join(source, "test"), "-trimpath", "-buildvcs=false",
			"-ldflags", "-s -w", "-o", dir + "/", "./bench/empty", "./bench/scan", "./bench/peak",
			"./bench/skelnoop", "./bench/skelparse",
			plugins + "meta/tuning", plugins + "meta/bandwidth", plugins + "meta/portmap",
			plugins + "meta/sbr", plugins + "meta/firewall", plugins + "ipam/host-local",
		},
	}
	for _, s := range steps {
		cmd := exec.CommandContext(ctx, s[0], s[1:]...)
		cmd.Stderr = os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
	}
	return nil
}

// Configurations, as a runtime gives them to the plugins. The previous result is
// that of bridge.
const (
	netName    = "bench"
	hostEnd    = "veth0a1b2c3d"
	prevResult = `{"cniVersion":"1.1.0",` +
		`"interfaces":[{"name":"cni0","mac":"9a:11:22:33:44:55"},{"name":"` + hostEnd + `","mac":"9a:11:22:33:44:56"},` +
		`{"name":"eth0","mac":"9a:11:22:33:44:57","sandbox":"/var/run/netns/cni-5e0c1d8e-1111-2222-3333-444455556666"}],` +
		`"ips":[{"interface":2,"address":"10.244.77.2/24","gateway":"10.244.77.1"}],` +
		`"routes":[{"dst":"0.0.0.0/0"}],"dns":{}}`

	// Declarations of maps for the key "maps".
	resolved8 = `{"name":"calls_"},{"name":"policy_"},{"name":"ct4_"},{"name":"ct6_"},` +
		`{"name":"lxc_"},{"name":"nat_"},{"name":"events_"},{"name":"metrics_"}`
	resolved4 = `{"name":"calls_"},{"name":"policy_"},{"name":"ct4_"},{"name":"ct6_"}`
	shape     = `"type":"array","keySize":4,"valueSize":16,"maxEntries":2`
	created4  = `{"name":"calls_",` + shape + `},{"name":"policy_",` + shape + `},` +
		`{"name":"ct4_",` + shape + `},{"name":"ct6_",` + shape + `}`
	seen4 = `{"name":"calls_",` + shape + `,"pod":"ro"},{"name":"policy_",` + shape + `,"pod":"ro"},` +
		`{"name":"ct4_",` + shape + `,"pod":"rw"},{"name":"ct6_",` + shape + `,"pod":"rw"}`
)

// config returns the configuration of the plugin kind with further keys.
func config(kind, keys, prev string) []byte {
	return fmt.Appendf(nil, `{"cniVersion":"1.1.0","name":%q,"type":%q%s,"prevResult":%s}`, netName, kind, keys, prev)
}

// hostLocal returns the configuration with which a plugin that delegates its
// addresses calls host-local: its own, with the key "ipam".
func hostLocal(dataDir string) []byte {
	return fmt.Appendf(nil, `{"cniVersion":"1.1.0","name":%q,"type":"bridge","ipam":{"type":"host-local",`+
		`"ranges":[[{"subnet":"10.0.0.0/8"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":%q}}`, netName, dataDir)
}
