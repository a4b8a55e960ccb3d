using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneStudio.src.Migrations
{
    /// <inheritdoc />
    public partial class Tasks : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            // The numbers of runs that are over stay, under the names of their metrics.
            migrationBuilder.Sql("""ALTER TABLE "RunEvaluations" ADD COLUMN "ScoresJson" TEXT NOT NULL DEFAULT '{}'""");
            migrationBuilder.Sql("""UPDATE "RunEvaluations" SET "ScoresJson" = json_object('MacroF1', "MacroF1", 'Accuracy', "Accuracy")""");
            migrationBuilder.Sql("""ALTER TABLE "RunEvaluations" DROP COLUMN "Accuracy" """);
            migrationBuilder.Sql("""ALTER TABLE "RunEvaluations" DROP COLUMN "MacroF1" """);
            migrationBuilder.Sql("""UPDATE "Projects" SET "Task" = 'SingleLabel' WHERE "Task" = 'text-classification'""");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("""ALTER TABLE "RunEvaluations" ADD COLUMN "Accuracy" REAL NOT NULL DEFAULT 0""");
            migrationBuilder.Sql("""ALTER TABLE "RunEvaluations" ADD COLUMN "MacroF1" REAL NOT NULL DEFAULT 0""");
            migrationBuilder.Sql("""UPDATE "RunEvaluations" SET "Accuracy" = COALESCE("ScoresJson" ->> 'Accuracy', 0), "MacroF1" = COALESCE("ScoresJson" ->> 'MacroF1', 0)""");
            migrationBuilder.Sql("""ALTER TABLE "RunEvaluations" DROP COLUMN "ScoresJson" """);
            migrationBuilder.Sql("""UPDATE "Projects" SET "Task" = 'text-classification' WHERE "Task" = 'SingleLabel'""");
        }
    }
}
