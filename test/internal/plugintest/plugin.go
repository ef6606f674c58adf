// Package plugintest calls a built CNI plugin as container runtimes do, and reads
// what it answers.
package plugintest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A Plugin is how a built plugin is executed.
type Plugin struct {
	Argv []string
	Env  []string // variables that replace those of every call
	Attr *syscall.SysProcAttr
}

// Command prepares a call for the interface eth0 of the container c1; env replaces
// variables.
func (p Plugin) Command(verb, conf string, env ...string) *exec.Cmd {
	cmd := exec.Command(p.Argv[0], p.Argv[1:]...)
	cmd.Env = slices.Concat([]string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0",
		"CNI_NETNS=/run/netns/pod", "CNI_PATH=/opt/cni/bin",
	}, env, p.Env)
	cmd.Stdin = strings.NewReader(conf)
	cmd.SysProcAttr = p.Attr
	return cmd
}

// Call makes a call.
func (p Plugin) Call(tb testing.TB, verb, conf string, env ...string) Answer {
	tb.Helper()
	testns.Need(tb)
	a, err := Run(p.Command(verb, conf, env...))
	testns.Must(tb, err)
	return a
}

// Succeed wants a call to succeed, and only ADD and VERSION to print something.
func (p Plugin) Succeed(tb testing.TB, verb, conf string, env ...string) Answer {
	tb.Helper()
	a := p.Call(tb, verb, conf, env...)
	if a.Status != 0 || verb != "ADD" && verb != "VERSION" && a.Stdout != "" {
		tb.Fatalf("%s of %.1000s with %.300q: got %+v, want success", verb, conf, env, a)
	}
	return a
}

// Add wants an ADD to succeed and returns the paths in its result.
func (p Plugin) Add(tb testing.TB, conf string, env ...string) []string {
	tb.Helper()
	paths, err := Paths(p.Succeed(tb, "ADD", conf, env...).Stdout)
	testns.Must(tb, err)
	return paths
}

// Fail wants a call to fail with the CNI error code and a message that has all the
// parts, and returns the message.
func (p Plugin) Fail(tb testing.TB, code uint, parts []string, verb, conf string, env ...string) string {
	tb.Helper()
	return p.Call(tb, verb, conf, env...).WantError(tb, fmt.Sprintf("%s of %.300s with %.300q", verb, conf, env), code, parts...)
}

// Keys are those of a network configuration.
type Keys map[string]any

// Conf returns the configuration of bpffs with two maps, after one plugin that
// made eth0. The keys of more replace others, in turn; nil removes one.
func Conf(more ...Keys) string {
	all := Keys{
		"cniVersion": "1.1.0", "name": "net", "type": "bpffs",
		"maps":       []Keys{{"name": "calls_"}, {"name": "policy_"}},
		"prevResult": Keys{"cniVersion": "1.1.0", "interfaces": []Keys{{"name": "eth0", "sandbox": "/run/netns/pod"}}},
	}
	for _, m := range more {
		maps.Copy(all, m)
	}
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // the test cannot be right
	}
	return string(text)
}
