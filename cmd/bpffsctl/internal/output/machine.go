package output

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

func writeJSON(w io.Writer, v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, escape(text, escapeJSON))
	return err
}

func marshal(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("encoding the output: %w", err)
	}
	return b.String(), nil
}

// writeYAML prints what JSON has, in its order. JSON is YAML, so that only the
// style has to change.
func writeYAML(w io.Writer, v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(escape(text, escapeYAML)), &doc); err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	restyle(&doc)
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	_, err = io.WriteString(w, escape(b.String(), escapeYAML))
	return err
}

// restyle lets a node and those in it be written in lines. Strings with anything
// to escape are quoted, for only there an escape means a character.
func restyle(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && !isClean(n.Value) {
		n.Style = yaml.DoubleQuotedStyle
	}
	if len(n.Content) == 0 && n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle // [] and {}
	}
	for _, c := range n.Content {
		restyle(c)
	}
}
