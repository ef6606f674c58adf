package reliability

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// An attachment is CNI's identity of one interface of one container on one network.
type attachment struct {
	network, container, ifName string
}

// path returns the directories that stand for the attachment in the records. No
// name in these tests needs escaping.
func (a attachment) path() string {
	return filepath.Join(a.network, a.container, a.ifName)
}

// A call is one execution of the plugin.
type call struct {
	verb  string
	who   attachment
	root  string       // bpfRoot
	maps  string       // the value of the key maps
	valid []attachment // what GC is to keep
}

func (c call) String() string {
	return fmt.Sprintf("%s of %s", c.verb, c.who.path())
}

// env returns the environment of the call.
func (c call) env() []string {
	return []string{
		"CNI_COMMAND=" + c.verb, "CNI_CONTAINERID=" + c.who.container, "CNI_IFNAME=" + c.who.ifName,
		"CNI_NETNS=/run/netns/none", "CNI_PATH=/opt/cni/bin",
		"CNI_ARGS=K8S_POD_NAMESPACE=ns;K8S_POD_NAME=" + c.who.container,
	}
}

// stdin returns the network configuration of the call.
func (c call) stdin() string {
	maps := c.maps
	if maps == "" {
		maps = "[]"
	}
	conf := map[string]any{
		"cniVersion": "1.1.0", "name": c.who.network, "type": "bpffs", "bpfRoot": c.root,
		"maps": json.RawMessage(maps), "prevResult": json.RawMessage(`{"cniVersion": "1.1.0", "interfaces": [{"name": "eth0"}]}`),
	}
	if c.verb == "GC" {
		conf["cni.dev/valid-attachments"] = c.validJSON()
	}
	text, err := json.Marshal(conf)
	if err != nil {
		panic(err) // the test cannot be right
	}
	return string(text)
}

func (c call) validJSON() []map[string]string {
	valid := []map[string]string{}
	for _, a := range c.valid {
		if a.network == c.who.network {
			valid = append(valid, map[string]string{"containerID": a.container, "ifname": a.ifName})
		}
	}
	return valid
}

// An answer is what the plugin gives back.
type answer struct {
	stdout, stderr string
	status         int // -1 for a plugin that was killed
}

func (c call) command() *exec.Cmd {
	cmd := exec.Command(program)
	cmd.Env = c.env()
	cmd.Stdin = strings.NewReader(c.stdin())
	return cmd
}

// try runs the plugin.
func (c call) try() (answer, error) {
	return run(c.command())
}

func run(cmd *exec.Cmd) (answer, error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) || errors.Is(err, syscall.EPIPE) { // EPIPE: it was killed before it read all
		err = nil
	}
	if err != nil {
		return answer{}, err
	}
	return answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, nil
}

// succeed wants the call to succeed.
func (c call) succeed(t *testing.T) answer {
	t.Helper()
	a, err := c.try()
	must(t, err)
	if a.status != 0 {
		t.Fatalf("%v: got %+v, want success", c, a)
	}
	return a
}

// fail wants the call to fail with the CNI error code and a message that has all
// the parts.
func (c call) fail(t *testing.T, code uint, parts ...string) {
	t.Helper()
	a, err := c.try()
	must(t, err)
	c.failed(t, a, code, parts...)
}

// failed wants the answer to be the CNI error code, and nothing but it.
func (c call) failed(t *testing.T, a answer, code uint, parts ...string) {
	t.Helper()
	got, err := a.error()
	if a.status != 1 || err != nil || got.Code != code {
		t.Errorf("%v: got %.1000q (%v), want exit status 1 and the CNI error code %d", c, fmt.Sprint(a), err, code)
	}
	for _, part := range parts {
		if !strings.Contains(got.Msg, part) {
			t.Errorf("%v: got the message %.1000q, want %q in it", c, got.Msg, part)
		}
	}
}

// A cniError is an error as the CNI specification has it.
type cniError struct {
	CNIVersion string `json:"cniVersion"`
	Code       uint   `json:"code"`
	Msg        string `json:"msg"`
}

// error refuses standard output that is not exactly one CNI error.
func (a answer) error() (e cniError, err error) {
	d := json.NewDecoder(strings.NewReader(a.stdout))
	d.DisallowUnknownFields()
	err = d.Decode(&e)
	if err == nil && d.More() {
		err = errors.New("more than one JSON value on standard output")
	}
	return e, err
}

// paths returns the names of interfaces that are paths, in the result of an ADD.
func (a answer) paths() ([]string, error) {
	var r struct{ Interfaces []struct{ Name string } }
	if err := json.Unmarshal([]byte(a.stdout), &r); err != nil {
		return nil, fmt.Errorf("result %q: %w", a.stdout, err)
	}
	var found []string
	for _, i := range r.Interfaces {
		if strings.HasPrefix(i.Name, "/") {
			found = append(found, i.Name)
		}
	}
	return found, nil
}

// id returns the endpoint ID in the result of an ADD of at least one map.
func (a answer) id() (string, error) {
	paths, err := a.paths()
	if err != nil || len(paths) == 0 {
		return "", fmt.Errorf("no path in the result %q (%w)", a.stdout, err)
	}
	return paths[0][len(paths[0])-len("00000"):], nil
}
