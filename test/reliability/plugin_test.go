package reliability

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

type answer = plugintest.Answer

// An attachment is CNI's identity of one interface of one container on one network.
type attachment struct {
	network, container, ifName string
}

// path returns the directories that stand for the attachment in the records. No
// name in these tests needs escaping.
func (a attachment) path() string {
	return filepath.Join(a.network, a.container, a.ifName)
}

// A call is one execution of the plugin about an attachment.
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

// as returns the call with another verb.
func (c call) as(verb string) call {
	c.verb = verb
	return c
}

// env returns what the environment says of the attachment.
func (c call) env() []string {
	return []string{
		"CNI_CONTAINERID=" + c.who.container, "CNI_IFNAME=" + c.who.ifName, "CNI_NETNS=/run/netns/none",
		"CNI_ARGS=K8S_POD_NAMESPACE=ns;K8S_POD_NAME=" + c.who.container,
	}
}

// conf returns the network configuration of the call.
func (c call) conf() string {
	more := plugintest.Keys{"name": c.who.network, "bpfRoot": c.root, "maps": nil}
	if c.maps != "" {
		more["maps"] = json.RawMessage(c.maps)
	}
	if c.verb == "GC" {
		valid := []map[string]string{}
		for _, a := range c.valid {
			if a.network == c.who.network {
				valid = append(valid, map[string]string{"containerID": a.container, "ifname": a.ifName})
			}
		}
		more["cni.dev/valid-attachments"] = valid
	}
	return plugintest.Conf(more)
}

func plugin() plugintest.Plugin {
	return plugintest.Plugin{Argv: []string{node.BinDir + "/bpffs"}}
}

func (c call) command() *exec.Cmd {
	return plugin().Command(c.verb, c.conf(), c.env()...)
}

// try makes the call.
func (c call) try() (answer, error) {
	return plugintest.Run(c.command())
}

// tryWithin makes the call within limits.
func (c call) tryWithin(l plugintest.Limits) (answer, error) {
	limited, err := plugin().Within(l)
	if err != nil {
		return answer{}, err
	}
	return plugintest.Run(limited.Command(c.verb, c.conf(), c.env()...))
}

// succeed wants the call to succeed.
func (c call) succeed(t *testing.T) answer {
	t.Helper()
	return plugin().Succeed(t, c.verb, c.conf(), c.env()...)
}

// fail wants the call to fail with the CNI error code and a message that has all
// the parts.
func (c call) fail(t *testing.T, code uint, parts ...string) {
	t.Helper()
	plugin().Call(t, c.verb, c.conf(), c.env()...).WantError(t, c.String(), code, parts...)
}
