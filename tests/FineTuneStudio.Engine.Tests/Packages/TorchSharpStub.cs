using System.Text;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis.CSharp;

namespace FineTuneStudio.Engine.Tests.Packages;

/// <summary>
/// C# source of an assembly with TorchSharp's public and protected members and no bodies, written from the reference list of
/// its signatures. The list leaves out explicit interface members, constraints on type parameters and part of the nullability,
/// so the stub has none of these: it tells whether a member with these parameters is there, and that is its use.
/// </summary>
internal static partial class TorchSharpStub
{
    private sealed record Listed(string Namespace, string Kind, string Modifiers, string Name, string Arguments, string Base, List<string> Members)
    {
        public List<Listed> Nested { get; } = [];
    }

    public static string Source(IEnumerable<string> lines)
    {
        var types = Read(lines);
        var source = new StringBuilder("""
            using System; using System.Collections; using System.Collections.Generic; using System.Globalization; using System.IO; using System.Numerics;
            using System.Reflection; using System.Runtime.InteropServices; using System.Threading; using System.Threading.Tasks;
            using TorchSharp; using TorchSharp.Modules; using TorchSharp.Utils; using TorchSharp.Data;
            using Tensor = TorchSharp.torch.Tensor; using TensorIndex = TorchSharp.torch.TensorIndex;

            """);
        foreach (var space in types.GroupBy(t => t.Namespace))
        {
            source.Append($"namespace {space.Key} {{\n");
            foreach (var type in space) Write(type, source);
            source.Append("}\n");
        }
        return source.ToString();
    }

    [GeneratedRegex(@"^### (?<modifiers>(?:sealed |abstract |static )*)(?<kind>class|struct|enum|interface|delegate) (?<space>[\w.]+)::(?<name>[\w.]+)(?<arguments><.*?>)?(?: : (?<base>.*?))?(?:  \[(?<interfaces>.*)\])?$")]
    private static partial Regex Header();

    private static List<Listed> Read(IEnumerable<string> lines)
    {
        List<Listed> top = [];
        var byName = new Dictionary<string, Listed>();
        List<string>? members = null;
        foreach (var line in lines)
        {
            if (!line.StartsWith("### ", StringComparison.Ordinal))
            {
                (members ?? throw new InvalidDataException("The list begins without a type.")).Add(line.Trim());
                continue;
            }
            var m = Header().Match(line);
            Assert.True(m.Success, $"The list has a type that is not understood: {line}");
            // The list shortens these two, which are nested as all others are.
            var name = m.Groups["name"].Value is "Tensor" or "TensorIndex" && m.Groups["space"].Value == "TorchSharp" ? "torch." + m.Groups["name"].Value : m.Groups["name"].Value;
            var bases = string.Join(", ", new[] { m.Groups["base"].Value.Trim(), m.Groups["interfaces"].Value.Trim() }.Where(b => b.Length > 0 && m.Groups["kind"].Value is not "delegate"));
            var dot = name.LastIndexOf('.');
            var type = new Listed(m.Groups["space"].Value, m.Groups["kind"].Value, m.Groups["modifiers"].Value, name[(dot + 1)..], m.Groups["arguments"].Value, bases, members = []);
            byName.TryAdd($"{type.Namespace}::{name}", type);
            (dot < 0 ? top : Outer(type.Namespace, name[..dot]).Nested).Add(type);
        }
        return top;

        Listed Outer(string space, string name)
        {
            if (byName.TryGetValue($"{space}::{name}", out var outer)) return outer;
            var dot = name.LastIndexOf('.');
            outer = new(space, "class", "static ", name[(dot + 1)..], "", "", []);
            byName.Add($"{space}::{name}", outer);
            (dot < 0 ? top : Outer(space, name[..dot]).Nested).Add(outer);
            return outer;
        }
    }

    private static void Write(Listed type, StringBuilder source)
    {
        if (type.Kind == "delegate")
        {
            var invoke = type.Members.Single(m => m.Contains(" Invoke("));
            source.Append($"public delegate {Method(invoke).Replace(" Invoke", " " + type.Name).Replace("public virtual ", "").Replace(" => throw null!;", ";")}\n");
            return;
        }
        source.Append($"public {type.Modifiers}partial {type.Kind} {Escaped(type.Name)}{type.Arguments}{(type.Base.Length > 0 ? " : " + Type(type.Base) : "")} {{\n".Replace("partial enum", "enum"));
        if (type.Kind == "enum")
            source.Append(string.Join(", ", type.Members.SelectMany(m => m.Split(',')).Select(v => Escaped(v.Trim().Split('=')[0]) + " = " + v.Split('=')[1]))).Append('\n');
        else
        {
            // A constructor that is not listed is not public; this one also spares the others to name that of the base.
            if (type.Kind == "class" && type.Modifiers != "static " && !type.Members.Any(m => m is "new()" or "protected new()")) source.Append($"internal {type.Name}() {{ }}\n");
            foreach (var member in type.Members)
                if (Member(type, member) is { } line) source.Append(line).Append('\n');
        }
        foreach (var nested in type.Nested) Write(nested, source);
        source.Append("}\n");
    }

    private static string? Member(Listed type, string line)
    {
        if (line.EndsWith(" Finalize()", StringComparison.Ordinal)) return null;
        if (line.StartsWith("new(", StringComparison.Ordinal) || line.StartsWith("protected new(", StringComparison.Ordinal))
            return $"{(line[0] == 'p' ? "protected" : "public")} {type.Name}({Parameters(line[(line.IndexOf('(') + 1)..^1])}) {{ }}";
        var text = line.StartsWith("prop ", StringComparison.Ordinal) ? Property(line[5..]) : line.StartsWith("field ", StringComparison.Ordinal) ? Field(line[6..]) : Method(line);
        if (type.Modifiers == "sealed " || type.Kind == "struct") text = text.Replace(" virtual ", " ");
        if (type.Kind == "interface") text = text.Replace("public ", "").Replace("virtual ", "").Replace("abstract ", "").Replace(" => throw null!;", ";").Replace("=> throw null!;", ";");
        return text;
    }

    private static string Field(string line)
    {
        var (modifiers, rest) = Modifiers(line);
        var (type, name) = TypeThenRest(rest);
        return $"{modifiers} {type} {Escaped(name.Trim())};";
    }

    private static string Property(string line)
    {
        var (modifiers, rest) = Modifiers(line);
        var (type, name) = TypeThenRest(rest);
        var accessors = name[name.LastIndexOf('{')..].Replace("get;", "get => throw null!;").Replace("set;", "set => throw null!;");
        name = name[..name.LastIndexOf('{')].Trim();
        if (modifiers.Contains("abstract")) accessors = accessors.Replace(" => throw null!", "");
        return $"{modifiers} {type} {(name.IndexOf('[') is var index and >= 0 ? $"this[{Parameters(name[(index + 1)..^1])}]" : Escaped(name))} {accessors}";
    }

    private static readonly Dictionary<string, string> Operators = new()
    {
        ["Addition"] = "+", ["Subtraction"] = "-", ["Multiply"] = "*", ["Division"] = "/", ["Modulus"] = "%", ["Equality"] = "==", ["Inequality"] = "!=",
        ["LessThan"] = "<", ["LessThanOrEqual"] = "<=", ["GreaterThan"] = ">", ["GreaterThanOrEqual"] = ">=", ["UnaryNegation"] = "-", ["OnesComplement"] = "~",
        ["BitwiseAnd"] = "&", ["BitwiseOr"] = "|", ["ExclusiveOr"] = "^",
    };

    private static string Method(string line)
    {
        var (modifiers, rest) = Modifiers(line);
        var (type, call) = TypeThenRest(rest);
        var open = call.IndexOf('(');
        var name = call[..open].Trim();
        var parameters = Parameters(call[(open + 1)..^1]);
        var end = modifiers.Contains("abstract") ? ";" : " => throw null!;";
        return name is "op_Implicit" or "op_Explicit" ? $"{modifiers} {name[3..].ToLowerInvariant()} operator {type}({parameters}){end}"
            : name.StartsWith("op_", StringComparison.Ordinal) && Operators.TryGetValue(name[3..], out var sign) ? $"{modifiers} {type} operator {sign}({parameters}){end}"
            : $"{modifiers} {type} {Escaped(name)}({parameters}){end}";
    }

    private static (string Modifiers, string After) Modifiers(string line)
    {
        List<string> found = [];
        while (line.IndexOf(' ') is var blank && line[..blank] is "static" or "protected" or "virtual" or "override" or "abstract" or "sealed")
        {
            found.Add(line[..blank]);
            line = line[(blank + 1)..];
        }
        if (!found.Contains("protected")) found.Insert(0, "public");
        return (string.Join(' ', found), line);
    }

    private static string Parameters(string list) => string.Join(", ", Split(list).Select(p =>
    {
        var modifier = "";
        while (p.IndexOf(' ') is var blank && p[..blank] is "params" or "out" or "ref" or "this")
        {
            modifier += p[..(blank + 1)];
            p = p[(blank + 1)..];
        }
        var (type, name) = TypeThenRest(p);
        var sides = name.Trim().Split(" = ");
        var value = sides.Length < 2 ? "" : " = " + (type == "float" ? sides[1] + "f" : type == "char" ? $"'{sides[1]}'" : sides[1]);
        return $"{modifier}{type} {Escaped(sides[0])}{value}";
    }));

    /// <summary>Divides at the commas that are in no bracket.</summary>
    private static IEnumerable<string> Split(string list)
    {
        int depth = 0, from = 0;
        for (int i = 0; i < list.Length; i++)
        {
            depth += list[i] is '(' or '<' or '[' or '{' ? 1 : list[i] is ')' or '>' or ']' or '}' ? -1 : 0;
            if (list[i] != ',' || depth > 0) continue;
            yield return list[from..i].Trim();
            from = i + 1;
        }
        if (list[from..].Trim() is { Length: > 0 } last) yield return last;
    }

    /// <summary>A type, with the names of its tuples' elements put in where the list has them behind it, and what follows.</summary>
    private static (string Type, string After) TypeThenRest(string line)
    {
        int depth = 0, end = 0;
        for (; end < line.Length && (depth > 0 || line[end] is not (' ' or '{')); end++)
            depth += line[end] is '(' or '<' or '[' ? 1 : line[end] is ')' or '>' or ']' ? -1 : 0;
        var type = line[..end];
        if (end == line.Length || line[end] != '{') return (Type(type), line[end..]);
        var close = line.IndexOf('}');
        return (Type(type, new(line[(end + 1)..close].Split(','))), line[(close + 1)..]);
    }

    private static string Type(string type, Queue<string>? names = null)
    {
        var written = new StringBuilder();
        for (int at = 0; at < type.Length;)
        {
            bool generic = type[at..].StartsWith("ValueTuple<", StringComparison.Ordinal);
            if (!generic && type[at] != '(')
            {
                written.Append(type[at++]);
                continue;
            }
            int open = generic ? at + "ValueTuple".Length : at, close = open, depth = 0;
            do depth += type[close] is '(' or '<' or '[' ? 1 : type[close] is ')' or '>' or ']' ? -1 : 0; while (depth > 0 && ++close > 0);
            var elements = Split(type[(open + 1)..close]).ToList();
            var own = elements.Select(_ => names is { Count: > 0 } ? " " + Escaped(names.Dequeue()) : "").ToList();
            written.Append('(').AppendJoin(", ", elements.Select((e, i) => Type(e, names) + own[i])).Append(')');
            at = close + 1;
        }
        return written.ToString();
    }

    private static string Escaped(string name) => SyntaxFacts.GetKeywordKind(name.Split('<')[0]) != SyntaxKind.None ? "@" + name : name;
}
