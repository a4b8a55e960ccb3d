using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;

namespace FineTuneStudio.Torch.Tests;

/// <summary>
/// Writes the public and protected members of types in the notation of the reference list of TorchSharp's signatures,
/// and compares. Left out of the comparison: nullability of references, tuple element names, and whether a member is
/// virtual, abstract or an override.
/// </summary>
internal static partial class Signatures
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    internal sealed record Reference(Dictionary<string, HashSet<string>> Members, Dictionary<string, string> Bases);

    internal static Reference Read(string path)
    {
        var members = new Dictionary<string, HashSet<string>>();
        var bases = new Dictionary<string, string>();
        HashSet<string> current = [];
        foreach (var line in System.IO.File.ReadLines(path))
        {
            if (line.StartsWith("### ", StringComparison.Ordinal))
            {
                var m = Header().Match(line);
                var name = m.Groups["name"].Value;
                members[name] = current = [m.Groups["kind"].Value];
                bases[name] = m.Groups["base"].Value.Trim();
            }
            else if (members.Count > 0 && line.Contains('=') && !line.Contains('(') && !line.Contains('{'))
                foreach (var value in line.Split(',')) current.Add(value.Trim());
            else current.Add(Plain(line.Trim()));
        }
        return new Reference(members, bases);
    }

    [GeneratedRegex(@"^### (?:sealed |abstract |static )*(?<kind>class|struct|enum|interface|delegate) (?<name>\S.*?)(?: : (?<base>.*?))?(?:  \[.*\])?$")]
    private static partial Regex Header();

    // What the comparison leaves out, taken out of a reference line.
    private static string Plain(string line)
    {
        line = TupleNames().Replace(line, "");
        line = ReferenceNullability().Replace(line, "");
        return Modifiers().Replace(line, "").Replace("static protected", "protected static").Replace("ValueTuple<", "(tuple<");
    }

    [GeneratedRegex(@"(?<=[\])>])\{[\w,]+\}")]
    private static partial Regex TupleNames();

    [GeneratedRegex(@"(?<=\b(?:Tensor|Scalar|Device|Generator|string|object|Parameter|Module|DisposeScope|Array|TResult|T[1-6]?|TPreHook|TPostHook|TOptions|Size|IFormatProvider)|\]|>)\?")]
    private static partial Regex ReferenceNullability();

    [GeneratedRegex(@"\b(?:virtual|abstract|override) ")]
    private static partial Regex Modifiers();

    /// <summary>The type as the reference names it: TorchSharp::torch.nn.Module&lt;T, TResult&gt;.</summary>
    internal static string Key(Type t)
    {
        var name = Name(t);
        return $"{t.Namespace}::{name}";
    }

    internal static IEnumerable<string> Lines(Type type)
    {
        yield return type.IsEnum ? "enum" : type.IsInterface ? "interface" : type.IsValueType ? "struct" : "class";
        if (type.IsEnum)
        {
            foreach (var name in Enum.GetNames(type)) yield return $"{name}={Convert.ToInt64(Enum.Parse(type, name), CultureInfo.InvariantCulture)}";
            yield break;
        }
        foreach (var c in type.GetConstructors(Declared).Where(c => Visible(c) && !c.IsStatic))
            yield return (type.IsAbstract && c.IsPublic ? "" : Access(c)) + $"new({Parameters(c)})";
        foreach (var f in type.GetFields(Declared).Where(f => f.IsPublic || f.IsFamily || f.IsFamilyOrAssembly))
            yield return $"field {(f.IsPublic ? "" : "protected ")}{(f.IsStatic ? "static " : "")}{Name(f.FieldType)} {f.Name}";
        foreach (var p in type.GetProperties(Declared))
        {
            var get = p.GetMethod is { } g && Visible(g) ? "get; " : "";
            var set = p.SetMethod is { } s && Visible(s) ? "set; " : "";
            if (get + set == "") continue;
            var index = p.GetIndexParameters().Length > 0 ? $"[{Parameters(p.GetIndexParameters())}]" : "";
            yield return $"prop {((p.GetMethod ?? p.SetMethod)!.IsStatic ? "static " : "")}{Name(p.PropertyType)} {p.Name}{index} {{ {get}{set}}}";
        }
        foreach (var m in type.GetMethods(Declared).Where(Visible))
        {
            if (m.IsSpecialName && !m.Name.StartsWith("op_", StringComparison.Ordinal)) continue;
            if (m.GetBaseDefinition().DeclaringType == typeof(object) || m.Name == "Finalize" || m.Name.Contains('<')) continue;
            var generic = m.IsGenericMethod ? $"<{string.Join(", ", m.GetGenericArguments().Select(Name))}>" : "";
            yield return $"{Access(m)}{(m.IsStatic ? "static " : "")}{Name(m.ReturnType)} {m.Name}{generic}({Parameters(m)})";
        }
    }

    /// <summary>The lines of a type that the reference does not have, neither for the type nor for those it derives from.</summary>
    internal static IEnumerable<string> Unknown(Type type, Reference reference, string? key = null)
    {
        key ??= Key(type);
        if (!reference.Members.ContainsKey(key)) return [$"{key}: no such type"];
        var known = new HashSet<string>();
        for (var k = key; k is not null && reference.Members.TryGetValue(k, out var lines); k = reference.Bases.GetValueOrDefault(k) is { Length: > 0 } b ? Resolve(b, reference) : null)
            known.UnionWith(lines);
        return Lines(type).Where(l => !known.Contains(l) && !known.Contains(l.Replace("{ get; }", "{ get; set; }"))).Select(l => $"{key}: {l}");
    }

    private static string? Resolve(string name, Reference reference) =>
        reference.Members.Keys.FirstOrDefault(k => k.EndsWith("::" + name, StringComparison.Ordinal));

    private static bool Visible(MethodBase m) => m.IsPublic || m.IsFamily || m.IsFamilyOrAssembly;

    private static string Access(MethodBase m) => m.IsPublic ? "" : "protected ";

    private static string Parameters(MethodBase m)
    {
        var extension = m.IsDefined(typeof(System.Runtime.CompilerServices.ExtensionAttribute), false) ? "this " : "";
        return extension + Parameters(m.GetParameters());
    }

    private static string Parameters(ParameterInfo[] parameters) => string.Join(", ", parameters.Select(p =>
        $"{(p.IsDefined(typeof(ParamArrayAttribute), false) ? "params " : p.IsOut ? "out " : p.ParameterType.IsByRef ? "ref " : "")}{Name(p.ParameterType)} {p.Name}" +
        (p.HasDefaultValue ? $" = {Default(p)}" : "")));

    private static string Default(ParameterInfo p) => p.DefaultValue switch
    {
        null => p.ParameterType.IsValueType && Nullable.GetUnderlyingType(p.ParameterType) is null ? "default" : "null",
        bool b => b ? "true" : "false",
        string s => $"\"{s}\"",
        var v when p.ParameterType.IsEnum => $"{Name(p.ParameterType)}.{Enum.GetName(p.ParameterType, v)}",
        IFormattable f => f.ToString(null, CultureInfo.InvariantCulture),
        var v => v.ToString()!,
    };

    internal static string Name(Type t)
    {
        if (t.IsByRef) return Name(t.GetElementType()!);
        if (t.IsArray) return $"{Name(t.GetElementType()!)}[{new string(',', t.GetArrayRank() - 1)}]";
        if (Nullable.GetUnderlyingType(t) is { } inner) return Name(inner) + "?";
        if (t.IsGenericParameter) return t.Name;
        if (Keywords.TryGetValue(t, out var word)) return word;
        if (t.FullName?.StartsWith("System.ValueTuple", StringComparison.Ordinal) == true || t.Name.StartsWith("ValueTuple`", StringComparison.Ordinal))
        {
            var parts = t.GetGenericArguments();
            return parts.Any(p => p.IsGenericParameter) ? $"(tuple<{string.Join(", ", parts.Select(Name))}>" : $"({string.Join(", ", parts.Select(Name))})";
        }
        var own = t.Name.Split('`')[0];
        int inherited = t.DeclaringType?.GetGenericArguments().Length ?? 0;
        var arguments = t.GetGenericArguments().Skip(inherited).ToArray();
        if (arguments.Length > 0) own += $"<{string.Join(", ", arguments.Select(Name))}>";
        if (t.DeclaringType is not { } outer) return own;
        if (outer == typeof(TorchSharp.torch) && t.Name is "Tensor" or "TensorIndex") return own;
        return $"{Name(outer).Split('<')[0]}.{own}";
    }

    private static readonly Dictionary<Type, string> Keywords = new()
    {
        [typeof(void)] = "void", [typeof(bool)] = "bool", [typeof(byte)] = "byte", [typeof(sbyte)] = "sbyte", [typeof(short)] = "short",
        [typeof(int)] = "int", [typeof(long)] = "long", [typeof(float)] = "float", [typeof(double)] = "double", [typeof(string)] = "string",
        [typeof(object)] = "object",
    };
}
