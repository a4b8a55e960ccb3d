using System.Text.Json;
using FineTuneStudio.Engine.Headless;
using FineTuneStudio.Engine.Tests.Training;

namespace FineTuneStudio.Engine.Tests.Headless;

[Collection("training")]
public sealed class CommandTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public CommandTests()
    {
        File.WriteAllLines(folder.File("data.csv"), SmallTexts.Rows(300).Select(r => $"\"{r.Text}, \"\"really\"\"\",{SmallTexts.Labels[r.Label]}").Prepend("message,kind").Append("no label here,"));
        File.WriteAllText(folder.File("recipe.json"), """{ "epochs": 3, "learningRate": 2e-3, "batchSize": 8, "maxLength": 32, "earlyStoppingPatience": 0 }""");
    }

    private (int Code, string[] Output, string Error) Train(params string[] more) => Call(TrainCommand.Run,
        ["train", "--recipe", folder.File("recipe.json"), "--data", folder.File("data.csv"), "--base", Repository.PracticeModel, "--out", folder.File("out"), "--text", "message", "--label", "kind", .. more]);

    private static (int Code, string[] Output, string Error) Call(Func<string[], TextWriter, TextWriter, int> command, params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = command(args, output, error);
        return (code, output.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries), error.ToString().Trim());
    }

    [Fact]
    public void Train_writes_one_json_object_a_line_and_ends_with_the_test_scores_and_predict_repeats_them()
    {
        var (code, output, error) = Train("--json");
        Assert.Equal((0, ""), (code, error));
        var lines = output.Select(l => JsonDocument.Parse(l).RootElement).ToList();
        Assert.Equal("start", lines[0].GetProperty("event").GetString());
        Assert.Equal((240, 30, 30), (lines[0].GetProperty("trainRows").GetInt32(), lines[0].GetProperty("validationRows").GetInt32(), lines[0].GetProperty("testRows").GetInt32()));
        Assert.Equal(90, lines.Count(l => l.GetProperty("event").GetString() == "step"));
        Assert.Equal(6, lines.Count(l => l.GetProperty("event").GetString() == "evaluation"));
        var end = lines[^1];
        Assert.Equal(("end", "Finished", 90), (end.GetProperty("event").GetString(), end.GetProperty("outcome").GetString(), end.GetProperty("stepsDone").GetInt32()));
        Assert.True(end.GetProperty("testAccuracy").GetDouble() > 0.8);

        var scores = folder.File("scores.csv");
        var predicted = Call(PredictCommand.Run, "predict", "--model", end.GetProperty("bestFolder").GetString()!, "--data", folder.File("data.csv"), "--out", scores, "--text", "message", "--max-length", "32");
        Assert.Equal((0, ""), (predicted.Code, predicted.Error));
        Assert.Equal($"301 rows scored with 3 labels, in {scores}", Assert.Single(predicted.Output));
        var rows = File.ReadAllLines(scores);
        Assert.Equal("message,kind,predicted_label,probability,delivery,payment,praise", rows[0]);
        Assert.Equal(302, rows.Length);
        var right = rows[1..^1].Count(r => r.Split(',') is var cells && cells[^6] == cells[^5]);
        Assert.True(right > 240, $"{right} of 300 right");
    }

    [Fact]
    public void Pretrain_learns_a_vocabulary_and_a_model_from_text_and_goes_on_from_a_folder()
    {
        var messages = File.ReadAllLines(Path.Combine(Repository.Root, "sample", "customer-messages.csv"))[1..];
        File.WriteAllText(folder.File("text.txt"), string.Join("\n\n", messages[..300]));
        File.WriteAllText(folder.File("held-out.txt"), string.Join("\n\n", messages[300..400]));
        File.WriteAllText(folder.File("pretrain.json"), """{ "batchSize": 16, "maxLength": 32, "evaluationsPerEpoch": 1 }""");
        (int Code, string[] Output, string Error) Pretrain(params string[] more) => Call((args, output, error) => PretrainCommand.Run(args, output, error), ["pretrain", "--text", folder.File("text.txt"), "--recipe", folder.File("pretrain.json"), .. more]);

        var made = Pretrain("--validation", folder.File("held-out.txt"), "--out", folder.File("new"), "--new", "bert", "--layers", "1", "--width", "32", "--heads", "2", "--vocabulary", "300", "--steps", "3");
        Assert.Equal((0, ""), (made.Code, made.Error));
        Assert.Contains("Learned a vocabulary of 300 tokens from the train text.", made.Output);
        Assert.Contains(made.Output, l => l.StartsWith("step 3  epoch") && l.Contains("perplexity"));
        Assert.StartsWith("Finished: best at step 3 of 3, in ", made.Output[^1]);

        Assert.Equal((1, "--text has no file but those of --validation; a model must be measured on text that it did not learn from."),
            Failed(Pretrain("--validation", folder.File("text.txt"), "--out", folder.File("x"), "--base", Repository.PracticeModel)));

        var on = Pretrain("--out", folder.File("on"), "--base", folder.File("new/best"), "--steps", "2");
        Assert.Equal((0, ""), (on.Code, on.Error));
        Assert.True(File.Exists(folder.File("on/best/model.safetensors")));

        Assert.Equal((1, "--base or --new is missing: a model to go on with, or bert or gpt2 to begin with new weights."), Failed(Pretrain("--out", folder.File("x"))));
        Assert.Equal((1, "--new is \"llama\"; expected bert or gpt2."), Failed(Pretrain("--out", folder.File("x"), "--new", "llama")));
        Assert.Equal((1, "--new does not go together with --base: a model starts from new weights or from a folder."), Failed(Pretrain("--out", folder.File("x"), "--new", "bert", "--base", Repository.PracticeModel)));
        Assert.Equal((1, "A model's width is 16 to 4096; 10 was asked for."), Failed(Pretrain("--out", folder.File("x"), "--new", "bert", "--width", "10")));
        Assert.Equal((1, "--width is for a new model; with --base it is as the folder says."), Failed(Pretrain("--out", folder.File("x"), "--base", Repository.PracticeModel, "--width", "64")));
        Assert.Equal((1, "--positions is 16, but the recipe's max length is 32; a model reads no text that is longer than its positions."), Failed(Pretrain("--out", folder.File("x"), "--new", "bert", "--positions", "16")));
        Assert.Equal((1, $"{folder.File("new/start")} holds a bert of 1 layers, width 32 and 32 positions, and not what --new asks for; leave out --resume to begin anew."), Failed(Pretrain("--out", folder.File("new"), "--new", "gpt2", "--resume")));
        Assert.Equal((1, "--store is \"int8\"; expected float32 or bf16."), Failed(Pretrain("--out", folder.File("x"), "--base", Repository.PracticeModel, "--store", "int8")));
        Assert.Equal((1, "--device is \"tpu\"; expected cpu or cuda."), Failed(Pretrain("--out", folder.File("x"), "--base", Repository.PracticeModel, "--device", "tpu")));
        if (!TorchSharp.torch.cuda_is_available())
            Assert.Equal((1, "--device is cuda, but libtorch sees no CUDA device; leave it out, or build with LIBTORCH set to a libtorch for CUDA on a machine with an NVIDIA graphics card."), Failed(Pretrain("--out", folder.File("x"), "--base", Repository.PracticeModel, "--device", "cuda")));
        static (int, string) Failed((int Code, string[] Output, string Error) run) => (run.Code, run.Error);
    }

    [Fact]
    public void Every_command_says_with_help_what_it_does_and_an_option_a_line_and_knows_each()
    {
        (string Verb, Func<string[], TextWriter, TextWriter, int> Run)[] commands = [("train", TrainCommand.Run), ("pretrain", (a, o, e) => PretrainCommand.Run(a, o, e)), ("predict", PredictCommand.Run), ("few-shot", FewShotCommand.Run), ("doctor", DoctorCommand.Run)];
        foreach (var (verb, run) in commands)
        {
            var (code, output, error) = Call(run, "--help");
            Assert.Equal((0, ""), (code, error));
            Assert.Matches($@"^{verb}: .+\.$", output[0]);
            Assert.All(output[1..], line => Assert.Matches(@"^  --[a-z-]+( \S+)? {2,}\S.+\.$", line));
            // What stands first is read first: an option that is known passes, and then the one that is not is named.
            var (flags, valued) = (output[1..].Where(l => System.Text.RegularExpressions.Regex.IsMatch(l, "^  --[a-z-]+  ")), output[1..].Where(l => System.Text.RegularExpressions.Regex.IsMatch(l, "^  --[a-z-]+ [^ ]")));
            Assert.Contains("  --json", flags.Select(l => l[..8]));
            string[] all = [.. flags.Select(l => l.Trim().Split(' ')[0]), .. valued.SelectMany(l => new[] { l.Trim().Split(' ')[0], "x" }), "--nonsense"];
            Assert.StartsWith($"{verb} does not know --nonsense; it takes ", Call(run, all).Error);
            Assert.Equal(output, Call(run, verb, "-h", "--json").Output);
        }
        Assert.Contains("  --base folder             The model to begin with, a Hugging Face folder.", Call(TrainCommand.Run, "train", "--help").Output);
        Assert.Equal(8 + 1, Call(PredictCommand.Run, "predict", "--help").Output.Length);
    }

    [Fact]
    public void Train_without_json_prints_lines_for_people_and_a_test_file_of_its_own_is_scored()
    {
        File.WriteAllLines(folder.File("test.csv"), SmallTexts.Rows(60, seed: 5).Select(r => $"{r.Text},{SmallTexts.Labels[r.Label]}").Prepend("message,kind"));
        var (code, output, error) = Train("--test", folder.File("test.csv"), "--validation-share", "0.2");
        Assert.Equal((0, ""), (code, error));
        Assert.Equal("240 train, 60 validation and 60 test rows in 3 labels", output[0]);
        Assert.Matches(@"^Finished: best at step \d+ of 90, in .+best; test accuracy [01]\.\d{4}, macro-F1 [01]\.\d{4} on 60 rows$", output[^1]);
    }

    [Fact]
    public void An_interrupted_train_says_how_to_go_on_and_does()
    {
        using var source = new CancellationTokenSource();
        source.CancelAfter(TimeSpan.FromSeconds(1));
        var interrupted = Call((a, o, e) => TrainCommand.Run(a, o, e, source.Token), "--recipe", folder.File("recipe.json"), "--data", folder.File("data.csv"),
            "--base", Repository.PracticeModel, "--out", folder.File("out"), "--text", "message", "--label", "kind");
        if (interrupted.Code == 0) return; // A machine so fast that nothing was left to interrupt.
        Assert.Equal((1, "The run was interrupted; add --resume to the same command to go on from its last checkpoint."), (interrupted.Code, interrupted.Error));
        Assert.Equal(0, Train("--resume").Code);
    }

    private (int Code, string[] Output, string Error) Predict(string target) =>
        Call(PredictCommand.Run, "--model", Repository.PracticeModel, "--data", folder.File("data.csv"), "--text", "message", "--out", target);

    [Fact]
    public void What_is_wrong_with_a_command_is_one_sentence_and_the_exit_code_is_not_0()
    {
        (int, string) Said((int Code, string[] Output, string Error) result) => (result.Code, result.Error.Replace(folder.Path + Path.DirectorySeparatorChar, ""));
        Assert.Equal((1, "--data is missing."), Said(Call(TrainCommand.Run, "train")));
        Assert.StartsWith("train does not know --datta; it takes --recipe, --data, ", Call(TrainCommand.Run, "train", "--datta", "x").Error);
        Assert.Equal((1, "--data needs a value after it."), Said(Call(TrainCommand.Run, "--data", "--json")));
        Assert.Equal((1, "--validation-share is \"2\"; expected a share from 0 to below 1, such as 0.1."), Said(Train("--validation-share", "2")));
        Assert.Equal((1, "--base is nowhere, but there is no such folder."), Said(Call(TrainCommand.Run, "--data", folder.File("data.csv"), "--text", "message", "--label", "kind", "--base", folder.File("nowhere"), "--out", folder.File("out"))));
        Assert.Equal((1, "--model is nowhere, but there is no such folder."), Said(Call(PredictCommand.Run, "--model", folder.File("nowhere"), "--data", folder.File("data.csv"), "--out", folder.File("scores.csv"))));
        Assert.Equal((1, "--out is out, which is a folder; name a file."), Said(Predict(Directory.CreateDirectory(folder.File("out")).FullName)));
        Assert.Equal((1, "--out is none/scores.csv, but there is no folder none; make it first."), Said(Predict(folder.File("none/scores.csv"))));
        Assert.StartsWith("--out is data.csv, which cannot be made: ", Said(Call(TrainCommand.Run, "--data", folder.File("data.csv"), "--text", "message", "--label", "kind", "--base", Repository.PracticeModel, "--out", folder.File("data.csv"))).Item2);
        Assert.Equal((1, "There is no recipe nothing.json."), Said(Call(TrainCommand.Run, "--recipe", folder.File("nothing.json"))));
        Assert.Equal((1, "There is no file nothing.csv."), Said(Call(TrainCommand.Run, "--data", folder.File("nothing.csv"))));
        Assert.Equal((1, "data.csv has no column \"label\"; its columns are \"message\", \"kind\"."), Said(Call(TrainCommand.Run, "--data", folder.File("data.csv"), "--text", "message")));
        File.WriteAllText(folder.File("recipe.json"), """{ "epoch": 2 }""");
        Assert.StartsWith("The recipe has an unknown field: \"epoch\".", Train().Error);
        File.WriteAllText(folder.File("recipe.json"), """{ "epochs": 0 }""");
        Assert.Equal((1, "Epochs is 0; expected a whole number from 1 to 100."), Said(Train()));
        File.WriteAllText(folder.File("empty.csv"), "");
        Assert.Equal((1, "empty.csv is empty; expected a header row and rows below it."), Said(Call(TrainCommand.Run, "--data", folder.File("empty.csv"))));
        File.WriteAllBytes(folder.File("latin.csv"), [.. "text,label\ncaf"u8, 0xE9, .. ",a\n"u8]);
        Assert.StartsWith("latin.csv is not UTF-8", Said(Call(TrainCommand.Run, "--data", folder.File("latin.csv"))).Item2);
        File.WriteAllText(folder.File("quotes.csv"), "text,label\nsay \"hi\" now,a\n");
        Assert.Equal((1, "quotes.csv, line 2: a quote stands where none may stand or is never closed; quote the whole cell and double the quotes in it."), Said(Call(TrainCommand.Run, "--data", folder.File("quotes.csv"))));
        Assert.Equal((1, "--max-length is \"9999\"; expected a whole number from 8 to 512."), Said(Call(PredictCommand.Run, "--model", Repository.PracticeModel, "--data", "y", "--out", "z", "--max-length", "9999")));
        Assert.Equal((1, "data.csv has no column \"text\"; its columns are \"message\", \"kind\"."), Said(Call(PredictCommand.Run, "--model", Repository.PracticeModel, "--data", folder.File("data.csv"), "--out", folder.File("scores.csv"))));
        Assert.False(File.Exists(folder.File("scores.csv")));
    }

    [Fact]
    public void The_commands_of_the_README_run_as_written()
    {
        var lines = File.ReadAllLines(Path.Combine(Repository.Root, "README.md")).SkipWhile(l => l != "## Without a browser").SkipWhile(l => l != "```").Skip(1).TakeWhile(l => l != "```").ToList();
        Assert.Equal(["echo", "./studio", "./studio"], lines.Select(l => l.Split(' ')[0]));
        var recipe = System.Text.RegularExpressions.Regex.Match(lines[0], "^echo '(?<json>[^']*)' > recipe.json$").Groups["json"].Value;
        File.WriteAllText(folder.File("recipe.json"), recipe);
        // What is read lies in the repository, what is written goes to this test's folder.
        string[] Arguments(string line) => [.. line.Split(' ').Skip(1).Select(a => a.StartsWith("sample/") || a.StartsWith("starters/") ? Path.Combine(Repository.Root, a) : a.StartsWith("--") || !a.Contains('.') && a is not "trained" and not "trained/best" ? a : folder.File(a))];
        var trained = Call(TrainCommand.Run, Arguments(lines[1]));
        Assert.Equal((0, ""), (trained.Code, trained.Error));
        var predicted = Call(PredictCommand.Run, [.. Arguments(lines[2]), "--json"]);
        Assert.Equal((0, ""), (predicted.Code, predicted.Error));
        var events = predicted.Output.Select(l => JsonDocument.Parse(l).RootElement).ToList();
        Assert.Equal(["progress", "end"], events.Select(e => e.GetProperty("event").GetString()));
        // One JSON object a line, the last with what was done.
        Assert.InRange(events[^1].GetProperty("rows").GetInt32(), 1000, 1058);
        Assert.Equal((8, folder.File("scores.csv")), (events[^1].GetProperty("labels").GetInt32(), events[^1].GetProperty("out").GetString()));
    }

    [Fact]
    public void Questions_are_learned_and_answered_from_columns_and_contexts_are_kept_together()
    {
        string Cell(string text) => $"\"{text.Replace("\"", "\"\"")}\"";
        File.WriteAllLines(folder.File("questions.csv"), SmallQuestions.Rows(300, 4).Select(r => $"{Cell(r.Question)},{Cell(r.Context)},{Cell(r.Answers.Count == 0 ? "" : r.Answers[0].Text)},{(r.Answers.Count == 0 ? "" : r.Answers[0].Start)}").Prepend("question,context,answer,start"));
        File.WriteAllText(folder.File("recipe.json"), """{ "epochs": 6, "learningRate": 3e-3, "batchSize": 8, "maxLength": 64, "earlyStoppingPatience": 0 }""");
        string[] command = ["train", "--recipe", folder.File("recipe.json"), "--data", folder.File("questions.csv"), "--base", Repository.PracticeModel, "--out", folder.File("out"), "--question", "question", "--context", "context", "--answer", "answer"];
        var (code, output, error) = Call(TrainCommand.Run, [.. command, "--answer-start", "start", "--json"]);
        Assert.Equal((0, ""), (code, error));
        var end = JsonDocument.Parse(output[^1]).RootElement;
        Assert.Equal(end.GetProperty("testRows").GetInt32(), JsonDocument.Parse(output[0]).RootElement.GetProperty("testRows").GetInt32());
        Assert.InRange(end.GetProperty("testExactMatch").GetDouble(), 0, end.GetProperty("testAnswerF1").GetDouble());
        Assert.True(end.GetProperty("bestMetric").GetDouble() > 0.4, $"answer F1 {end.GetProperty("bestMetric")}");

        var scores = folder.File("scores.csv");
        var predicted = Call(PredictCommand.Run, "predict", "--model", end.GetProperty("bestFolder").GetString()!, "--data", folder.File("questions.csv"), "--out", scores, "--max-length", "64");
        Assert.Equal((0, "", $"300 rows scored, in {scores}"), (predicted.Code, predicted.Error, Assert.Single(predicted.Output)));
        Assert.Equal("question,context,answer,start,predicted_answer,predicted_start,probability", File.ReadLines(scores).First());

        File.AppendAllText(folder.File("questions.csv"), "Who?,Nobody was there.,Somebody,\n");
        Assert.Equal((1, $"{folder.File("questions.csv")}, line 302: the answer \"Somebody\" does not stand in the context, letter for letter."), (Call(TrainCommand.Run, command) is var refused ? refused.Code : 0, refused.Error));
        Assert.Equal("--text does not go together with --question and --context.", Call(TrainCommand.Run, [.. command, "--text", "a"]).Error);
    }

    public void Dispose() => folder.Dispose();
}
