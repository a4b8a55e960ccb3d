using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace FineTuneStudio.Engine.Tests.Packages;

/// <summary>
/// The engine against the real packages. They cannot be restored everywhere, so a stub with TorchSharp's own signatures stands
/// for them: what compiles against it compiles with -p:Torch=TorchSharp-cpu and -p:Torch=TorchSharp-cuda-linux.
/// </summary>
public sealed class TorchSharpStubTests
{
    private static readonly CSharpParseOptions Options = new(LanguageVersion.CSharp14, DocumentationMode.None);

    /// <summary>What is wrong with a stub for what the list leaves out or shortens; none of it is near what the engine uses.</summary>
    private static readonly Dictionary<string, string> LeftOut = new()
    {
        ["CS0534"] = "overrides of properties are not told from other virtual ones", ["CS0535"] = "explicit interface members", ["CS0738"] = "explicit interface members",
        ["CS0115"] = "what it overrides is not public", ["CS0305"] = "a type nested in a generic one is named without the arguments of the outer one",
        ["CS0246"] = "types of another library", ["CS0426"] = "types of another library", ["CS0722"] = "types of another library, shortened to a name that is also TorchSharp's",
        ["CS0117"] = "types of another namespace, shortened to a name that is there twice", ["CS1750"] = "constraints on type parameters", ["CS8141"] = "tuple names of an interface",
    };

    /// <summary>A partial method without its generated half says nothing about TorchSharp: the build's generators write it.</summary>
    private const string Generated = "CS8795";

    private static readonly Lazy<CSharpCompilation> Stub = new(() => Compile(File.ReadLines(Shared.Find("design/torchsharp-signatures.txt"))));

    private static CSharpCompilation Compile(IEnumerable<string> list) => CSharpCompilation.Create("TorchSharp",
        [CSharpSyntaxTree.ParseText(TorchSharpStub.Source(list), Options)], Framework.Value, new(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Annotations));

    private static readonly Lazy<MetadataReference[]> Framework = new(() =>
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(f => Path.GetFileName(f) is var name && (name.StartsWith("System.", StringComparison.Ordinal) || name is "netstandard.dll" or "mscorlib.dll" or "Microsoft.CSharp.dll" or "CsvHelper.dll" or "SharpCompress.dll"))
            .Select(f => MetadataReference.CreateFromFile(f))]);

    private static readonly Lazy<SyntaxTree[]> Engine = new(() =>
    {
        var folder = Path.Combine(Repository.Root, "src", "Engine");
        // That folder is what only our own binding has; the build leaves it out with the real packages.
        return [.. Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories).Where(f => !f.StartsWith(Path.Combine(folder, "TorchExtensions"), StringComparison.Ordinal))
            .Select(f => CSharpSyntaxTree.ParseText(File.ReadAllText(f), Options, Path.GetRelativePath(Repository.Root, f)))];
    });

    // Nullability is left to the build against our own binding: the list cannot tell what is not annotated from what is not null.
    private static CSharpCompilation EngineWith(CSharpCompilation stub, params SyntaxTree[] more)
    {
        const string Usings = "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq; global using System.Net.Http; global using System.Threading; global using System.Threading.Tasks;";
        return CSharpCompilation.Create("FineTuneStudio.Engine", [.. Engine.Value, CSharpSyntaxTree.ParseText(Usings, Options), .. more],
            [.. Framework.Value, stub.ToMetadataReference()],
            new(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true, nullableContextOptions: NullableContextOptions.Annotations));
    }

    private static List<Diagnostic> Problems(IEnumerable<Diagnostic> found) => [.. found.Where(d => d.Severity >= DiagnosticSeverity.Warning && d.Id != Generated)];

    private static string Shown(IEnumerable<Diagnostic> problems) => string.Join("\n", problems.Take(40).Select(p => p.ToString()));

    [SkippableFact]
    public void The_stub_is_sound_but_for_what_the_list_leaves_out()
    {
        var stub = Stub.Value;
        var problems = stub.GetDeclarationDiagnostics().Concat(stub.SyntaxTrees[0].GetDiagnostics()).Where(d => d.Severity == DiagnosticSeverity.Error && !LeftOut.ContainsKey(d.Id)).ToList();
        Assert.True(problems.Count == 0, $"{problems.Count} errors in the stub:\n{Shown(problems)}");
    }

    [SkippableFact]
    public void The_engine_compiles_against_TorchSharps_own_signatures()
    {
        var stub = Stub.Value;
        Assert.True(Engine.Value.Length > 60, $"Only {Engine.Value.Length} sources of the engine were found.");
        var problems = Problems(EngineWith(stub).GetDiagnostics());
        Assert.True(problems.Count == 0, $"{problems.Count} problems of the engine with TorchSharp's packages:\n{Shown(problems)}");
    }

    [SkippableFact]
    public void A_planted_member_that_TorchSharp_lacks_is_named()
    {
        var stub = Stub.Value;
        var planted = CSharpSyntaxTree.ParseText("""
            using TorchSharp;
            namespace FineTuneStudio.Engine.Planted;
            static class Wrong
            {
                public static torch.Tensor Member(torch.Tensor tensor) => tensor.frobnicate();
                public static torch.Tensor Parameter(torch.Tensor tensor) => tensor.softmax(dim: -1, temperature: 2.0);
                public static torch.Tensor Right(torch.Tensor tensor) => tensor.softmax(dim: -1, dtype: torch.float32);
            }
            """, Options, "Planted.cs");
        var problems = Problems(EngineWith(stub, planted).GetSemanticModel(planted).GetDiagnostics());
        Assert.Equal(
            [
                "'torch.Tensor' does not contain a definition for 'frobnicate' and no accessible extension method 'frobnicate' accepting a first argument of type 'torch.Tensor' could be found (are you missing a using directive or an assembly reference?)",
                "The best overload for 'softmax' does not have a parameter named 'temperature'",
            ],
            problems.Select(p => p.GetMessage(System.Globalization.CultureInfo.InvariantCulture)));
    }
}
