package runtimes

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The pages whose commands are typed.
const (
	readmePage     = top + "/README.md"
	quickstartPage = top + "/docs/quickstart.md"
)

// nodeCommands returns the commands of the quickstart's section "One node". Those of the
// README are among them.
func nodeCommands(t *testing.T) []string {
	t.Helper()
	commands := lines(blocks(t, quickstartPage, "One node"))
	for _, command := range lines(blocks(t, readmePage, "Use it")) {
		if !slices.Contains(commands, command) {
			t.Errorf("README.md, Use it: got the command %q, want one of docs/quickstart.md", command)
		}
	}
	return commands
}

// blocks returns the blocks of commands in the section of a page with that heading.
func blocks(t *testing.T, page, heading string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	testns.Must(t, err)
	_, section, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?s)\n```\n(.*?)\n```\n").FindAllStringSubmatch(section, -1) {
		all = append(all, block[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s, %s: got no block of commands", page, heading)
	}
	return all
}

// lines returns the lines of blocks.
func lines(blocks []string) []string { return strings.Split(strings.Join(blocks, "\n"), "\n") }

// TestQuickstartOverlay makes the overlay of the quickstart in a copy, as typed: it has
// the image and the configuration that the page names.
func TestQuickstartOverlay(t *testing.T) {
	tree := t.TempDir()
	mustRun(t, "cp", "-a", top+"/deploy", top+"/conf", tree)
	steps := blocks(t, quickstartPage, "A cluster")
	image, _, _ := strings.Cut(steps[0], "\n")
	mustRun(t, "sh", "-c", strings.Join([]string{"cd " + tree, image, steps[1]}, "\n"))

	deploy, err := filepath.Abs(top + "/deploy")
	testns.Must(t, err)
	dir, err := filepath.Rel(deploy, tree+"/deploy/mine")
	testns.Must(t, err)
	d := deploymentIn(t, dir)
	if got, want := d.daemonSet.Spec.Template.Spec.Containers[0].Image, "registry.example.com/bpffs:1"; got != want {
		t.Errorf("the image: got %s, want %s", got, want)
	}
	conf, err := os.ReadFile(top + "/conf/bpffs.conf")
	testns.Must(t, err)
	if got := d.config.Data["bpffs.json"]; got != string(conf) {
		t.Errorf("the configuration: got %s, want %s", got, conf)
	}
	checkReferences(t, d)
}
