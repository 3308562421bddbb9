// Reads JSON {"objects": [...], "lua": "..."} and says how kstatus and Argo CD read each object. Argo CD runs a health
// check in a Lua machine with few libraries and the object as `obj`.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type input struct {
	Objects []map[string]interface{} `json:"objects"`
	Lua     string                   `json:"lua"`
}

type reading struct {
	Kstatus string `json:"kstatus"`
	Argo    string `json:"argo"`
	Message string `json:"message"`
}

func main() {
	var given input
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fail(err)
	}
	readings := []reading{}
	for _, object := range given.Objects {
		result, err := status.Compute(&unstructured.Unstructured{Object: numbers(object).(map[string]interface{})})
		if err != nil {
			fail(err)
		}
		argo, message, err := argoHealth(given.Lua, object)
		if err != nil {
			fail(err)
		}
		readings = append(readings, reading{string(result.Status), argo, message})
	}
	if err := json.NewEncoder(os.Stdout).Encode(readings); err != nil {
		fail(err)
	}
}

func argoHealth(script string, object map[string]interface{}) (string, string, error) {
	machine := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer machine.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName:   lua.OpenBase,
		lua.TabLibName:    lua.OpenTable,
		lua.StringLibName: lua.OpenString,
	} {
		machine.Push(machine.NewFunction(open))
		machine.Push(lua.LString(name))
		machine.Call(1, 0)
	}
	machine.SetGlobal("obj", valueOf(machine, object))
	if err := machine.DoString(script); err != nil {
		return "", "", err
	}
	health, ok := machine.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the health check returns no table")
	}
	return lua.LVAsString(health.RawGetString("status")), lua.LVAsString(health.RawGetString("message")), nil
}

func valueOf(machine *lua.LState, value interface{}) lua.LValue {
	switch typed := value.(type) {
	case map[string]interface{}:
		table := machine.NewTable()
		for key, each := range typed {
			table.RawSetString(key, valueOf(machine, each))
		}
		return table
	case []interface{}:
		table := machine.NewTable()
		for _, each := range typed {
			table.Append(valueOf(machine, each))
		}
		return table
	case string:
		return lua.LString(typed)
	case float64:
		return lua.LNumber(typed)
	case bool:
		return lua.LBool(typed)
	}
	return lua.LNil
}

// An unstructured object has whole numbers as int64.
func numbers(value interface{}) interface{} {
	switch typed := value.(type) {
	case map[string]interface{}:
		copied := map[string]interface{}{}
		for key, each := range typed {
			copied[key] = numbers(each)
		}
		return copied
	case []interface{}:
		copied := []interface{}{}
		for _, each := range typed {
			copied = append(copied, numbers(each))
		}
		return copied
	case float64:
		return int64(typed)
	}
	return value
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
