// Renders templates with Go and Sprig, for comparison: rows as JSON on stdin, results on stdout.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"text/template"
	"unicode/utf8"

	"github.com/Masterminds/sprig/v3"
)

type row struct {
	Template string
	Data     any
}

type result struct {
	Output *string `json:"output,omitempty"`
	Base64 string  `json:"base64,omitempty"`
	Error  string  `json:"error,omitempty"`
}

type report struct {
	Go      string   `json:"go"`
	Sprig   string   `json:"sprig"`
	Results []result `json:"results"`
}

// decoded replaces {"$base64": "..."} by the string of these bytes.
func decoded(value any) any {
	switch value := value.(type) {
	case map[string]any:
		if text, ok := value["$base64"].(string); ok {
			raw, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				log.Fatal(err)
			}
			return string(raw)
		}
		for key, item := range value {
			value[key] = decoded(item)
		}
	case []any:
		for index, item := range value {
			value[index] = decoded(item)
		}
	}
	return value
}

func render(row row) result {
	parsed, err := template.New("main").Funcs(sprig.TxtFuncMap()).Parse(row.Template)
	if err != nil {
		return result{Error: err.Error()}
	}
	var output bytes.Buffer
	if err := parsed.Execute(&output, decoded(row.Data)); err != nil {
		return result{Error: err.Error()}
	}
	if !utf8.Valid(output.Bytes()) {
		return result{Base64: base64.StdEncoding.EncodeToString(output.Bytes())}
	}
	text := output.String()
	return result{Output: &text}
}

func main() {
	var rows []row
	if err := json.NewDecoder(os.Stdin).Decode(&rows); err != nil {
		log.Fatal(err)
	}
	found := report{Go: runtime.Version(), Results: []result{}}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/Masterminds/sprig/v3" {
				found.Sprig = module.Version
			}
		}
	}
	for _, row := range rows {
		found.Results = append(found.Results, render(row))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(found); err != nil {
		log.Fatal(err)
	}
}
