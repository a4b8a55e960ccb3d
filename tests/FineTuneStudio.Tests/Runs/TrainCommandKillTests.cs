using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xunit.Abstractions;

namespace FineTuneStudio.Tests.Runs;

/// `studio train` and `studio pretrain` as a process of its own, killed with SIGKILL at random steps and told to go on each time.
[Trait("Cost", "Slow"), Collection("training")]
public sealed class TrainCommandKillTests(ITestOutputHelper output) : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("fts-train-kill-").FullName;

    private static readonly string Sample = Path.Combine("tests", "practice-model");

    /// What is trained: a name, the recipe, and the base model's folder, or the family of a new one that is pretrained.
    public static TheoryData<string, string, string> Jobs => new()
    {
        { "Masked words and pairs", """{ "epochs": 3, "learningRate": 3e-3, "batchSize": 8, "maxLength": 32, "dropout": 0.1, "evaluationsPerEpoch": 3 }""", "bert" },
        { "Next tokens", """{ "epochs": 3, "learningRate": 3e-3, "batchSize": 8, "maxLength": 32, "dropout": 0.1, "evaluationsPerEpoch": 3 }""", "gpt2" },
        { "LoRA on Llama", """{ "epochs": 5, "learningRate": 1e-2, "batchSize": 8, "maxLength": 64, "earlyStoppingPatience": 0, "evaluationsPerEpoch": 3, "method": "Lora", "loraDropout": 0.1 }""", Path.Combine("..", "shared", "goldens", "llama-tiny") },
        { "DoRA on BERT", """{ "epochs": 5, "learningRate": 1e-2, "batchSize": 8, "maxLength": 32, "earlyStoppingPatience": 0, "evaluationsPerEpoch": 3, "method": "Dora", "loraDropout": 0.1 }""", Sample },
        { "BERT full", """{ "epochs": 6, "learningRate": 1e-3, "batchSize": 8, "maxLength": 32, "earlyStoppingPatience": 0, "evaluationsPerEpoch": 3 }""", Sample },
    };

    [SkippableTheory, MemberData(nameof(Jobs))]
    public void Killed_at_five_random_steps_and_resumed_every_loss_is_that_of_the_run_never_interrupted(string name, string recipe, string baseModel)
    {
        if (baseModel.Contains("goldens"))
        {
            var llama = Shared.Find("goldens/llama-tiny");
            baseModel = llama;
        }
        File.WriteAllText(Path.Combine(folder, "recipe.json"), recipe);
        var random = new Random(20);
        var messages = File.ReadAllLines(Path.Combine(ContentRoot.Find([]), "sample", "customer-messages.csv"))[1..];
        File.WriteAllText(Path.Combine(folder, "text.txt"), string.Join("\n\n", messages[..400]));
        File.WriteAllText(Path.Combine(folder, "held-out.txt"), string.Join("\n\n", messages[400..500]));
        string[] labels = ["billing", "delivery", "returns"], words = ["invoice", "card", "price", "parcel", "late", "courier", "exchange", "size", "broken"];
        File.WriteAllLines(Path.Combine(folder, "data.csv"), Enumerable.Range(0, 300).Select(i => $"{words[i % 3 * 3 + random.Next(3)]} and {words[i % 3 * 3 + random.Next(3)]} in message {i},{labels[i % 3]}").Prepend("text,label"));

        var whole = Train(baseModel, "whole", killAt: null);
        var last = whole.Keys.Max();
        Assert.Equal(Enumerable.Range(1, last), whole.Keys.Order());
        var kills = Enumerable.Range(1, last - 1).ToArray();
        new Random(5).Shuffle(kills);
        kills = [.. kills[..5].Order()];
        output.WriteLine($"{name}: {last} steps, killed at {string.Join(", ", kills)}.");

        var reached = 0;
        foreach (var kill in kills.Select(k => (int?)k).Append(null))
        {
            var steps = Train(baseModel, "killed", kill);
            Assert.NotEmpty(steps);
            foreach (var (step, loss) in steps) Assert.True(whole[step] == loss, string.Create(CultureInfo.InvariantCulture, $"{name}: step {step} has the loss {loss:R} after a kill and {whole[step]:R} without."));
            // No gap: it goes on from within what was done before.
            Assert.InRange(steps.Keys.Min(), 1, reached + 1);
            reached = steps.Keys.Max();
        }
        Assert.Equal(last, reached);
    }

    /// The loss of each step as this process said it, to the bit.
    private Dictionary<int, double> Train(string baseModel, string to, int? killAt)
    {
        var root = ContentRoot.Find([]);
        var dll = Path.Combine(root, "artifacts", "bin", "FineTuneStudio", new DirectoryInfo(AppContext.BaseDirectory).Name, "FineTuneStudio.dll");
        string[] command = baseModel is "bert" or "gpt2"
            ? ["pretrain", "--text", Path.Combine(folder, "text.txt"), "--validation", Path.Combine(folder, "held-out.txt"), "--new", baseModel, "--layers", "2", "--width", "32", "--heads", "2", "--vocabulary", "400"]
            : ["train", "--data", Path.Combine(folder, "data.csv"), "--base", Path.Combine(root, baseModel), .. baseModel.Contains("llama") ? new[] { "--prompt", "text", "--answer", "label" } : []];
        var start = new ProcessStartInfo("dotnet", [dll, .. command, "--recipe", Path.Combine(folder, "recipe.json"), "--out", Path.Combine(folder, to), "--resume", "--json"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        try
        {
            var complaint = process.StandardError.ReadToEndAsync();
            var losses = new Dictionary<int, double>();
            var killed = false;
            while (process.StandardOutput.ReadLine() is { } line)
            {
                // What a kill cut off in the middle is no line.
                if (!line.EndsWith('}')) continue;
                using var json = JsonDocument.Parse(line);
                if (json.RootElement.GetProperty("event").GetString() != "step") continue;
                var step = json.RootElement.GetProperty("step").GetInt32();
                losses[step] = json.RootElement.GetProperty("trainLoss").GetDouble();
                if (killed || !(step >= killAt)) continue;
                process.Kill();
                killed = true;
            }
            process.WaitForExit();
            if (killAt is null) Assert.True(process.ExitCode == 0, complaint.Result);
            return losses;
        }
        finally { if (!process.HasExited) process.Kill(); }
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
