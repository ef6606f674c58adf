package runtimes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// promtool returns a command of Prometheus' own tool.
func promtool(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := filepath.Abs(top + "/bin/runtimes/promtool/promtool")
	testns.Must(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run test/runtimes/install.sh", err)
	}
	return exec.Command(path, args...)
}

// TestAlerts lets Prometheus' tool read the alerts, and run their tests, which a change
// of any alert fails.
func TestAlerts(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", top + "/deploy/prometheus/bpffs.rules.yaml"},
		{"test", "rules", top + "/deploy/prometheus/bpffs.rules_test.yaml"},
	} {
		if out, err := promtool(t, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v: %s", args, err, out)
		}
	}
}

// TestAlertsAreTested wants the tests to have each alert once when it is due, so that
// one that is added needs a test.
func TestAlertsAreTested(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert string }
		}
	}
	read(t, top+"/deploy/prometheus/bpffs.rules.yaml", &rules)
	var tests struct {
		Tests []struct {
			Cases []struct {
				Alert string `json:"alertname"`
				Due   []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	read(t, top+"/deploy/prometheus/bpffs.rules_test.yaml", &tests)
	due := make(map[string]int)
	for _, test := range tests.Tests {
		for _, c := range test.Cases {
			due[c.Alert] += len(c.Due)
		}
	}
	want := make(map[string]int)
	for _, r := range rules.Groups[0].Rules {
		want[r.Alert] = 1
	}
	if diff := cmp.Diff(want, due); diff != "" {
		t.Errorf("how often each alert is due in the tests (-want +got):\n%s", diff)
	}
}

// TestPrometheusRule wants the component for Prometheus Operator to have the same
// alerts, in the namespace of the pods.
func TestPrometheusRule(t *testing.T) {
	var want struct{ Groups any }
	read(t, top+"/deploy/prometheus/bpffs.rules.yaml", &want)
	var got struct {
		Kind     string
		Metadata struct{ Namespace string }
		Spec     struct{ Groups any }
	}
	for _, object := range render(t, withComponent(t, "overlays/kubeadm", "components/prometheus-rule")) {
		if strings.Contains(string(object), "kind: PrometheusRule") {
			testns.Must(t, yaml.Unmarshal(object, &got))
		}
	}
	if diff := cmp.Diff(want.Groups, got.Spec.Groups); diff != "" || got.Metadata.Namespace != "kube-system" {
		t.Errorf("the rule in the namespace %q (-want +got):\n%s", got.Metadata.Namespace, diff)
	}
}

// TestMetricsAreUnderstood lets Prometheus' tool read what bpffsctl prints of a node.
func TestMetricsAreUnderstood(t *testing.T) {
	if !onNode(t) {
		return
	}
	check := promtool(t, "check", "metrics")
	check.Stdin = strings.NewReader(ctl(t, 0, "metrics"))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: got %v: %s, want nothing", err, out)
	}
}

// read decodes a file in YAML.
func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	testns.Must(t, err)
	testns.Must(t, yaml.Unmarshal(text, into))
}
