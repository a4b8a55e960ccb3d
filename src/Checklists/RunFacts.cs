using FineTuneStudio.BaseModels;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Runs;
using FineTuneStudio.Ui;
using Microsoft.EntityFrameworkCore;
using static FineTuneStudio.Checklists.FactState;

namespace FineTuneStudio.Checklists;

/// Where the weights came from, and what was tried.
internal static class RunFacts
{
    private const string LaunchRun = "Launch a run on the Runs page.";

    internal static IReadOnlyList<Fact> Pretrained(ChecklistSubject subject)
    {
        const string share = "pass from 99 % with origin pretrained, block under 95 %";
        if (subject.Run is not { } run || subject.BaseModel is not { } model) return [Fact.Unmeasured("P1", "Weights loaded", share, "limit our own", LaunchRun), NotProbed(LaunchRun)];
        return
        [
            run.BackboneShare is { } loaded
                ? new("P1", "Weights loaded", $"{Say.Percent(loaded)} of the backbone loaded from the file; origin: {model.OriginWords()}", loaded < 0.95 ? Block : loaded >= 0.99 && model.Origin == ModelOrigin.Pretrained ? Pass : Warn, share, "matched tensor elements ÷ backbone elements; limit our own")
                : Fact.Unmeasured("P1", "Weights loaded", share, "limit our own", $"Run {run.Number} has not loaded its base model yet."),
            Probed(run, model, subject.Project.Task),
            new("P7", "Provenance and licence", $"{model.Name}, from “{model.Source}”; licence: {model.License ?? "not stated"}", model.License is null ? Warn : Pass, "warn without a licence", "our own"),
        ];
    }

    private const string Probe = "Knows more than random weights", ProbeLimits = "pass where the loss is at least 5 % lower, warn where it is not", ProbeSource = "linear probes, Alain and Bengio 2016; limit our own";

    private static Fact NotProbed(string how) => Fact.Unmeasured("P2", Probe, ProbeLimits, ProbeSource, how);

    private static Fact Probed(Run run, BaseModel model, TextTask task)
    {
        if (BackboneProbe.WhyNot(task) is { } why) return Fact.NotFor("P2", Probe, why);
        if (model.Origin != ModelOrigin.Pretrained) return NotProbed($"Only a model that is pretrained, or said to be, is measured; the origin of {model.Name} is {model.OriginWords()}.");
        if (run is not { ProbeLoss: { } loss, ReinitialisedProbeLoss: { } drawn, ProbeGain: { } gain })
            return NotProbed(run.IsOver ? $"Run {run.Number} has not measured it; where it tried, its log says what kept it from it. Launch another run: it measures it before its first step." : $"Run {run.Number} measures it before its first step.");
        var losses = task == TextTask.Generation ? $"before any training its validation loss is {Say.Number(loss)} and with random weights {Say.Number(drawn)}"
            : $"a linear head’s validation loss after one epoch is {Say.Number(loss)} on this backbone and {Say.Number(drawn)} on the same with random weights";
        return new("P2", Probe, $"Pretrained ({(model.PretrainingNumber is { } here ? $"here, by pretraining {here}" : "declared")}), {(run.BackboneShare is { } share ? $"{Say.Percent(share)} of the backbone loaded, " : "")}probe gain {ProbeBackbone.Gain(gain)}: {losses}", gain >= BackboneProbe.LeastGain ? Pass : Warn, ProbeLimits, ProbeSource);
    }

    internal static IReadOnlyList<Fact> NotFromScratch(ChecklistSubject subject)
    {
        const string declared = "pass for a declared pretrained model";
        // Adapters start at nothing and bear ten times the rate.
        var (adapters, least, most) = subject.Recipe?.Method is not (null or TrainingMethod.Full) ? (true, 1e-5, 1e-3) : (false, 1e-6, 1e-4);
        var band = adapters ? "with adapters: pass from 1e-5 to 1e-3, block above ten times that" : "pass from 1e-6 to 1e-4, block above ten times that";
        if (subject.Run is null || subject.BaseModel is not { } model || subject.Recipe is not { } recipe)
            return [Fact.Unmeasured("origin", "Origin of the base model", declared, "declared at import", LaunchRun), Fact.Unmeasured("P5", "Learning rate for fine-tuning", band, "defaults of other fine-tuning tools", LaunchRun)];
        var origin = new Fact("origin", "Origin of the base model", $"{model.Name}: {model.OriginWords()}", model.Origin == ModelOrigin.Pretrained ? Pass : Warn, declared, "declared at import, never guessed from a name");
        var rate = recipe.LearningRate;
        if (model.Origin != ModelOrigin.Pretrained)
            return [origin, new("P5", "Learning rate for training from random weights", Say.Number(rate), rate is >= 1e-4 and <= 3e-3 ? Pass : rate > 3e-2 ? Block : Warn, "pass from 1e-4 to 3e-3, block above ten times that", "BERT 1e-4, GPT-2 small about 6e-4; more for smaller models, our own")];
        // As the check before a launch has it.
        if (!adapters && model.SuggestedLearningRate is { } suggested)
            return [origin, new("P5", "Learning rate for fine-tuning", Say.Number(rate), rate >= suggested / 5 && rate <= suggested * 5 ? Pass : rate > suggested * 50 ? Block : Warn, $"pass within five times of {Say.Number(suggested)}, which this base model suggests, block above fifty times that", "measured for this model")];
        return [origin, new("P5", "Learning rate for fine-tuning", Say.Number(rate), rate >= least && rate <= most ? Pass : rate > (adapters ? 1e-2 : 1e-3) ? Block : Warn, band, "defaults of other fine-tuning tools")];
    }

    internal static async Task<(IReadOnlyList<Fact> Experiment, IReadOnlyList<Fact> NoDefaults)> Tried(StudioDb db, ChecklistSubject subject, CancellationToken cancel)
    {
        const string trials = "pass from 11, block at 1 or none";
        if (subject.Version is not { } version || subject.Run is not { } run || subject.Recipe is not { } recipe)
            return ([Fact.Unmeasured("H1", "Distinct recipes tried", trials, "Optuna's TPE draws 10 at random first", LaunchRun)], [Fact.Unmeasured("H7", "Settings changed from their default", "warn at none", "our own", LaunchRun)]);
        var done = (await db.Runs.AsNoTracking().Where(r => r.ProjectId == run.ProjectId && db.Splits.Any(s => s.Id == r.SplitId && s.VersionId == version.Id)).ToListAsync(cancel))
            .Where(r => r.HasModel).Select(r => (Recipe: RunRecipe.FromJson(r.RecipeJson), r.BaseModelId)).ToList();
        var distinct = done.Select(d => (d.Recipe.Sha256(), d.BaseModelId)).Distinct().Count();
        (string Name, Func<RunRecipe, object> Of)[] knobs =
        [
            ("learning rate", r => r.LearningRate), ("epochs", r => r.Epochs), ("batch size", r => r.BatchSize), ("regularisation", r => (r.Dropout, r.WeightDecay)), ("trained layers", r => (r.TrainableLayers, r.LastBlocks)),
        ];
        var covered = knobs.Where(k => done.Select(d => k.Of(d.Recipe)).Distinct().Count() >= 3).Select(k => k.Name).ToList();
        var seeds = done.Where(d => d.BaseModelId == run.BaseModelId && d.Recipe with { Seed = 0 } == recipe with { Seed = 0 }).Select(d => d.Recipe.Seed).Distinct().Count();
        var standard = RunRecipe.For(subject.Project.Metric);
        var changed = RunRecipe.Fields.Where(f => !f.Get(recipe).Equals(f.Get(standard))).Select(f => $"{f.Label} {RecipeText.Of(f, f.Get(recipe))} (default {RecipeText.Of(f, f.Get(standard))})").ToList();
        return (
        [
            new("H1", "Distinct recipes tried", $"{Say.Count(distinct, "finished run")} with {(distinct == 1 ? "its" : "their")} own recipe on version {version.Number}", distinct >= 11 ? Pass : distinct >= 2 ? Warn : Block, trials, "Optuna's TPE draws 10 at random first"),
            new("H2", "Settings tried at three or more values", covered.Count == 0 ? "None" : string.Join(", ", covered), covered.Count >= 3 && covered.Contains("learning rate") ? Pass : covered.Count > 0 ? Warn : Block, "pass from 3 with the learning rate, block at none", "H2O's guide names backbone, epochs and learning rate"),
            new("H4", "Seeds of this recipe", $"{Say.Count(seeds, "seed")} tried", seeds >= 3 ? Pass : Warn, "pass from 3", "Dodge et al. 2020: the seed alone changes results"),
        ],
        [
            new("H7", "Settings changed from their default", changed.Count == 0 ? $"Run {run.Number} changed none of {Say.Count(RunRecipe.Fields.Count, "setting")}" : $"{changed.Count} of {RunRecipe.Fields.Count}: {string.Join("; ", changed)}", changed.Count == 0 ? Warn : Pass, "warn at none", "our own"),
        ]);
    }
}
