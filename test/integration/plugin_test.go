package integration

import (
	"encoding/json"
	"errors"
	"maps"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A plugin is how the built plugin is executed.
type plugin struct {
	argv []string
	attr *syscall.SysProcAttr
}

// An answer is what the plugin gives back.
type answer struct {
	stdout, stderr string
	status         int
}

// command prepares a call for the interface eth0 of the container c1; env
// replaces variables.
func (p plugin) command(verb, conf string, env ...string) *exec.Cmd {
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = append([]string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0",
		"CNI_NETNS=/run/netns/pod", "CNI_PATH=" + cniDir,
	}, env...)
	cmd.Stdin = strings.NewReader(conf)
	cmd.SysProcAttr = p.attr
	return cmd
}

func (p plugin) call(t *testing.T, verb, conf string, env ...string) answer {
	t.Helper()
	return run(t, p.command(verb, conf, env...))
}

func run(t *testing.T, cmd *exec.Cmd) answer {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// add wants an ADD to succeed and returns the paths in its result.
func (p plugin) add(t *testing.T, conf string, env ...string) []string {
	t.Helper()
	return paths(t, p.succeed(t, "ADD", conf, env...).stdout)
}

// succeed wants a call to succeed, and all verbs but ADD to print no result.
func (p plugin) succeed(t *testing.T, verb, conf string, env ...string) answer {
	t.Helper()
	a := p.call(t, verb, conf, env...)
	if a.status != 0 || verb != "ADD" && a.stdout != "" {
		t.Fatalf("%s of %s with %q: got %+v, want success", verb, conf, env, a)
	}
	return a
}

// fail wants a call to fail with the CNI error code and a message that has all
// the parts.
func (p plugin) fail(t *testing.T, code uint, parts []string, verb, conf string, env ...string) {
	t.Helper()
	a := p.call(t, verb, conf, env...)
	got, err := parseError(a.stdout)
	if a.status != 1 || err != nil || got.Code != code || !contains(got.Msg, parts) {
		t.Errorf("%s of %.300s with %.300q: got %+v (%v), want exit status 1 and a CNI error %d with %q",
			verb, conf, env, a, err, code, parts)
	}
}

// A cniError is an error as the CNI specification has it.
type cniError struct {
	CNIVersion string `json:"cniVersion"`
	Code       uint   `json:"code"`
	Msg        string `json:"msg"`
}

// parseError refuses what is not exactly one CNI error.
func parseError(stdout string) (e cniError, err error) {
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	err = d.Decode(&e)
	if err == nil && d.More() {
		err = errors.New("more than one JSON value")
	}
	return e, err
}

// keys are those of a network configuration.
type keys map[string]any

// conf returns the configuration of bpffs with two maps, after one plugin that
// made eth0. The keys in more replace others; nil removes one.
func conf(more keys) string {
	all := keys{
		"cniVersion": "1.1.0", "name": "net", "type": "bpffs",
		"maps":       []keys{{"name": "calls_"}, {"name": "policy_"}},
		"prevResult": keys{"cniVersion": "1.1.0", "interfaces": []keys{{"name": "eth0", "sandbox": "/run/netns/pod"}}},
	}
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // the test cannot be right
	}
	return string(text)
}

// paths returns the names of the interfaces in a CNI result that are paths, as a
// shell script would find them.
func paths(t *testing.T, result string) []string {
	t.Helper()
	var r struct{ Interfaces []struct{ Name string } }
	if err := json.Unmarshal([]byte(result), &r); err != nil {
		t.Fatalf("result %q: %v", result, err)
	}
	var found []string
	for _, i := range r.Interfaces {
		if strings.HasPrefix(i.Name, "/") {
			found = append(found, i.Name)
		}
	}
	return found
}

// idOf returns the endpoint ID at the end of the path of a local map.
func idOf(path string) string {
	return path[len(path)-len("00000"):]
}
