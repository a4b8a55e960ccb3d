using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Torch.Tests;

public class SignatureTests
{
    /// <summary>What this binding has beyond TorchSharp; the engine reaches it through one folder with a plain fallback.</summary>
    private static readonly string[] Extensions = ["TorchSharp.Native::Autocast"];

    [SkippableFact]
    public void Every_public_member_exists_in_TorchSharp_with_the_same_shape()
    {
        var path = Shared.Find("design/torchsharp-signatures.txt");
        var reference = Signatures.Read(path);
        var types = typeof(torch).Assembly.GetTypes().Where(IsVisible).ToList();
        Assert.True(types.Count > 40, $"only {types.Count} public types were found");
        var unknown = types.Where(t => !Extensions.Contains(Signatures.Key(t))).SelectMany(t => Signatures.Unknown(t, reference)).Except(Extensions).ToList();
        Assert.True(unknown.Count == 0, $"{unknown.Count} members differ from TorchSharp's:\n{string.Join("\n", unknown)}");
    }

    [SkippableFact]
    public void A_planted_wrong_member_is_caught()
    {
        var path = Shared.Find("design/torchsharp-signatures.txt");
        var unknown = Signatures.Unknown(typeof(Planted), Signatures.Read(path), "TorchSharp::Tensor").ToList();
        Assert.Equal(
            [
                "TorchSharp::Tensor: Tensor frobnicate()",
                "TorchSharp::Tensor: Tensor matmul(Tensor other)",
                "TorchSharp::Tensor: Tensor softmax(long dim = 0, torch.ScalarType? dtype = null)",
                "TorchSharp::Tensor: prop int Dimensions { get; }",
            ],
            unknown.Where(l => !l.Contains("new(")).Order(StringComparer.Ordinal));
    }

    private sealed class Planted
    {
        public Tensor frobnicate() => null!;
        public Tensor matmul(Tensor other) => null!;
        public Tensor mm(Tensor target) => null!;
        public Tensor softmax(long dim = 0, ScalarType? dtype = null) => null!;
        public int Dimensions => 0;
    }

    private static bool IsVisible(Type t) => t.IsPublic || ((t.IsNestedPublic || t.IsNestedFamily || t.IsNestedFamORAssem) && IsVisible(t.DeclaringType!));
}
