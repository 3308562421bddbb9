// Reads a JSON list of PromQL expressions, parses each as Prometheus does, and says which metrics it asks for, with the
// labels that it selects and groups by.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

type metric struct {
	Name   string   `json:"name"`
	Labels []string `json:"labels"`
}

type reading struct {
	Error   string   `json:"error"`
	Type    string   `json:"type"`
	Metrics []metric `json:"metrics"`
	Groups  []string `json:"groups"`
}

func main() {
	var expressions []string
	if err := json.NewDecoder(os.Stdin).Decode(&expressions); err != nil {
		fail(err)
	}
	prometheus := parser.NewParser(parser.Options{})
	readings := []reading{}
	for _, text := range expressions {
		expression, err := prometheus.ParseExpr(text)
		if err != nil {
			readings = append(readings, reading{Error: err.Error()})
			continue
		}
		readings = append(readings, readingOf(expression))
	}
	if err := json.NewEncoder(os.Stdout).Encode(readings); err != nil {
		fail(err)
	}
}

func readingOf(expression parser.Expr) reading {
	found := reading{Type: string(expression.Type()), Metrics: []metric{}, Groups: []string{}}
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		switch typed := node.(type) {
		case *parser.VectorSelector:
			selected := metric{Name: typed.Name, Labels: []string{}}
			for _, matcher := range typed.LabelMatchers {
				if matcher.Name != labels.MetricName {
					selected.Labels = append(selected.Labels, matcher.Name)
				}
			}
			found.Metrics = append(found.Metrics, selected)
		case *parser.AggregateExpr:
			found.Groups = append(found.Groups, typed.Grouping...)
		case *parser.BinaryExpr:
			if typed.VectorMatching != nil {
				found.Groups = append(found.Groups, typed.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	return found
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
